//! The flow's own stage: one training step on the frozen trunk.

use mtl_tensor::{Ctx, Mode, Tensor};
use mtl_trunk::Features;

use super::{Flow, Part};
use crate::likelihood::{perceptual, pixels};
use crate::{Batch, Error, GeneratorStep, Loss, value};

/// One training step of one part.
pub(super) struct Step<'a> {
    pub(super) flow: &'a Flow,
    pub(super) batch: &'a Batch<'a>,
    pub(super) cx: &'a Ctx,
    /// Features of the images and their reconstructions, with their graph.
    pub(super) reconstructed: Option<(Features, Tensor)>,
}

impl GeneratorStep for Step<'_> {
    fn loss(&mut self, phase: usize) -> Result<Loss, Error> {
        match self.flow.parts.get(phase) {
            Some(Part::Critic) => self.critic_loss(),
            Some(Part::Tokenizer) => self.tokenizer_loss(),
            Some(Part::Flow) => self.flow_loss(),
            None => Err(Error::phase(phase, &self.flow.phases)),
        }
    }
}

impl Step<'_> {
    /// The images that encoder and decoder are trained on, the first of the batch, with their classes.
    fn images(&self, count: usize) -> Result<(Tensor, &[i32]), Error> {
        let count = count.min(self.batch.classes.len());
        Ok((self.batch.images.narrow(0, 0, count)?.contiguous()?, &self.batch.classes[..count]))
    }

    fn reconstruct(&self) -> Result<(Features, Tensor), Error> {
        let Self { flow, batch, cx, .. } = self;
        let Some(tokenizer) = flow.tokenizer() else { return Err(Error::phase(0, &flow.phases)) };
        let (images, _) = self.images(flow.config.tokenizer_images)?;
        let features = batch.trunk.forward(&images, &cx.with_mode(Mode::Eval))?.detach();
        let name = flow.stream_name("tokenizer");
        let reconstruction = tokenizer.reconstruct(&features, flow.config.noise, (&name, cx))?;
        Ok((features, reconstruction))
    }

    fn critic_loss(&mut self) -> Result<Loss, Error> {
        let (features, reconstruction) = self.reconstruct()?;
        let (flow, cx) = (self.flow, self.cx);
        let Some(critic) = &flow.critic else { return Err(Error::phase(0, &flow.phases)) };
        let (images, classes) = self.images(flow.config.judged_images())?;
        let fake = reconstruction.narrow(0, 0, classes.len())?;
        let loss = critic.loss((&images, &fake), classes, (&flow.stream_name("critic"), cx));
        self.reconstructed = Some((features, reconstruction));
        loss
    }

    fn tokenizer_loss(&mut self) -> Result<Loss, Error> {
        let (features, reconstruction) = match self.reconstructed.take() {
            Some(found) => found,
            None => self.reconstruct()?,
        };
        let (flow, batch) = (self.flow, self.batch);
        let (images, _) = self.images(flow.config.tokenizer_images)?;
        let mse = (&reconstruction - &images)?.sqr()?.mean_all()?;
        let mut terms = vec![("mse".to_owned(), value(&mse)?)];
        let mut total = pixels(&mse)?;
        if flow.config.perceptual > 0.0 {
            let perceptual = perceptual(batch.trunk, &features, &reconstruction)?;
            terms.push(("perceptual".to_owned(), value(&perceptual)?));
            total = (total + (perceptual * flow.config.perceptual)?)?;
        }
        if let (true, Some(critic)) = (flow.config.judges(batch.progress), &flow.critic) {
            let (images, classes) = self.images(flow.config.judged_images())?;
            let fake = reconstruction.narrow(0, 0, classes.len())?.contiguous()?;
            let adversarial = critic.of_decoder((&images, &fake), classes)?;
            terms.push(("adversarial".to_owned(), value(&adversarial)?));
            total = (total + (adversarial * flow.config.adversarial)?)?;
        }
        Ok(Loss { total, terms })
    }

    fn flow_loss(&self) -> Result<Loss, Error> {
        let Self { flow, batch, cx, .. } = self;
        let clean = flow.clean(batch.trunk, batch.images)?;
        let mut stream = cx.stream(&flow.stream_name("classes"));
        let dropped = |class: &i32| if stream.chance(flow.config.class_dropout) { -1 } else { *class };
        let classes: Vec<i32> = batch.classes.iter().map(dropped).collect();
        let (times, noise) = flow.noise(&clean, &mut cx.stream(&flow.stream_name("noise")))?;
        let total = flow.network.loss(&clean, &noise, &times, &classes)?;
        let velocity = value(&total)?;
        Ok(Loss { total, terms: vec![("velocity".to_owned(), velocity)] })
    }
}

impl Flow {
    /// Times from 0 (noise) to 1, logit-normal (Esser et al. 2024, arXiv 2403.03206), and noise, one of each per map.
    pub(super) fn noise(&self, like: &Tensor, stream: &mut mtl_rng::Stream) -> Result<(Vec<f64>, Tensor), Error> {
        let times = (0..like.dim(0)?).map(|_| 1.0 / (1.0 + (-stream.normal()).exp())).collect();
        let values = stream.normals(like.elem_count());
        let noise = Tensor::from_vec(values, like.shape(), &mtl_tensor::Device::Cpu)?.to_dtype(like.dtype())?;
        Ok((times, noise.to_device(like.device())?))
    }
}

//! The flow's own stage: one training step on the frozen trunk.

use mtl_tensor::{Ctx, Mode, Tensor};

use super::{Flow, Part};
use crate::likelihood::{perceptual, pixels};
use crate::{Batch, Error, GeneratorStep, Loss, value};

/// One training step of one part.
pub(super) struct Step<'a> {
    pub(super) flow: &'a Flow,
    pub(super) batch: &'a Batch<'a>,
    pub(super) cx: &'a Ctx,
}

impl GeneratorStep for Step<'_> {
    fn loss(&mut self, phase: usize) -> Result<Loss, Error> {
        match self.flow.parts.get(phase) {
            Some(Part::Tokenizer) => self.tokenizer_loss(),
            Some(Part::Flow) => self.flow_loss(),
            None => Err(Error::phase(phase, &self.flow.phases)),
        }
    }
}

impl Step<'_> {
    fn tokenizer_loss(&self) -> Result<Loss, Error> {
        let Self { flow, batch, cx } = self;
        let Some(tokenizer) = flow.tokenizer() else { return Err(Error::phase(0, &flow.phases)) };
        let features = batch.trunk.forward(batch.images, &cx.with_mode(Mode::Eval))?.detach();
        let name = flow.stream_name("tokenizer");
        let reconstruction = tokenizer.reconstruct(&features, flow.config.noise, (&name, cx))?;
        let mse = (&reconstruction - batch.images)?.sqr()?.mean_all()?;
        let mut terms = vec![("mse".to_owned(), value(&mse)?)];
        let mut total = pixels(&mse)?;
        if flow.config.perceptual > 0.0 {
            let perceptual = perceptual(batch.trunk, &features, &reconstruction)?;
            terms.push(("perceptual".to_owned(), value(&perceptual)?));
            total = (total + (perceptual * flow.config.perceptual)?)?;
        }
        Ok(Loss { total, terms })
    }

    fn flow_loss(&self) -> Result<Loss, Error> {
        let Self { flow, batch, cx } = self;
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

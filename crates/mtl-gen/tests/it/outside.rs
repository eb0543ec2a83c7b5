//! A generator from another crate: it implements the public traits, and trains like the built-in ones.

use std::sync::Arc;

use mtl_gen::{
    Batch, Error, Generator, GeneratorConfig, GeneratorInput, GeneratorStep, Loss, Phase, Prepare, Sampling,
    StageDefaults,
};
use mtl_rng::{Seed, Stream};
use mtl_tensor::layers::Linear;
use mtl_tensor::optim::{self, Optimizer, collect};
use mtl_tensor::{Ctx, DType, Params, Scope, Tensor, backward, gradcheck, ops, to_f64};

/// A linear map from noise to pixels, trained to the mean of the images' squared distances.
#[derive(Debug)]
struct LinearConfig;

#[derive(Debug)]
struct LinearGenerator {
    map: Linear,
    shape: (usize, usize, usize),
    name: String,
    phases: Vec<Phase>,
}

impl GeneratorConfig for LinearConfig {
    fn build(&self, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Arc<dyn Generator>, Error> {
        let (height, width) = input.size;
        let phase = Phase {
            name: "linear",
            prefixes: vec![scope.name().to_owned()],
            lr_scales: vec![(format!("{}.map.bias", scope.name()), 0.0)],
            optimizer: optim::Config::Sgd { momentum: 0.0, weight_decay: 0.0 },
            lr: 0.1,
        };
        Ok(Arc::new(LinearGenerator {
            map: Linear::new(&scope.sub("map"), 2, input.channels * height * width)?,
            shape: (input.channels, height, width),
            name: scope.name().to_owned(),
            phases: vec![phase],
        }))
    }

    fn stage_defaults(&self) -> StageDefaults {
        StageDefaults { batch: 2, steps_ratio: 0.1, minutes_share: 0.01, validations: 0, patience: 0 }
    }
}

impl Generator for LinearGenerator {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn prepare(&self, _: &Prepare<'_>) -> Result<Vec<String>, Error> {
        Ok(vec!["nothing to prepare".into()])
    }

    fn begin_step<'a>(&'a self, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Box<dyn GeneratorStep + 'a>, Error> {
        let z = self.latents(batch.classes, &Sampling::default(), &mut cx.stream("linear"))?;
        Ok(Box::new(LinearStep { generator: self, batch, z }))
    }

    fn sampled(&self) -> &str {
        &self.name
    }

    fn latent(&self) -> usize {
        2
    }

    fn latents(&self, labels: &[i32], _: &Sampling, stream: &mut Stream) -> Result<Tensor, Error> {
        Ok(Tensor::from_vec(stream.normals(labels.len() * 2), (labels.len(), 2), gradcheck::device())?)
    }

    fn decode(&self, z: &Tensor, _: &[i32], _: &Sampling) -> Result<Tensor, Error> {
        let (channels, height, width) = self.shape;
        Ok(ops::tanh(&self.map.forward(z)?)?.reshape((z.dim(0)?, channels, height, width))?)
    }
}

struct LinearStep<'a> {
    generator: &'a LinearGenerator,
    batch: &'a Batch<'a>,
    z: Tensor,
}

impl GeneratorStep for LinearStep<'_> {
    fn loss(&mut self, _: usize) -> Result<Loss, Error> {
        let images = self.generator.decode(&self.z, self.batch.classes, &Sampling::default())?;
        let total = (images - self.batch.images)?.sqr()?.mean_all()?;
        let value = to_f64(&total)?[0];
        Ok(Loss { total, terms: vec![("distance".into(), value)] })
    }
}

#[test]
fn a_generator_from_outside_trains_and_samples() {
    let params = Params::new(Seed::new(1), DType::F32, gradcheck::device());
    let trunk_config = mtl_trunk::Config::default();
    let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
    let input = GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 0 };
    let config: &dyn GeneratorConfig = &LinearConfig;
    let generator = config.build(&params.scope("linear"), &input).unwrap();
    let images = Tensor::full(0.5f32, (4, 3, 32, 32), gradcheck::device()).unwrap();
    let find = |_: &str| None;
    let prepare = Prepare { trunk_name: "trunk", trunk: &*trunk, images: &images, generator: &find };
    assert_eq!(generator.prepare(&prepare).unwrap().len(), 1);
    assert!(generator.joint().is_none() && generator.prior_fit().is_none() && generator.decoder_source().is_none());

    let phase = &generator.phases()[0];
    let own = phase.of(&params.trainable());
    assert_eq!(own.keys().collect::<Vec<_>>(), ["linear.map.bias", "linear.map.weight"]);
    let bias = to_f64(&own["linear.map.bias"]).unwrap();
    let mut optimizer = Optimizer::new(phase.optimizer, &own, |name| phase.lr_scale(name)).unwrap();
    let batch = Batch { trunk: &*trunk, images: &images, classes: &[-1; 4], progress: 0.0, task_loss: None };
    // The same noise at both steps: a step down the gradient makes the loss smaller.
    let cx = Ctx::train(Seed::new(2), 0);
    let mut losses = Vec::new();
    for _ in 0..2 {
        let loss = generator.begin_step(&batch, &cx).unwrap().loss(0).unwrap();
        losses.push(loss.terms[0].1);
        let grads = collect(&backward(&loss.total).unwrap(), &own);
        optimizer.step(&grads, phase.lr, 1.0).unwrap();
    }
    assert!(losses[1] < losses[0], "{losses:?}");
    assert_eq!(to_f64(&own["linear.map.bias"]).unwrap(), bias, "its learning rate has the factor 0");
    let drawn = generator.sample(&[-1; 3], &Sampling::default(), &mut Seed::new(7).stream("sample", &[])).unwrap();
    assert_eq!(drawn.dims(), [3, 3, 32, 32]);
}

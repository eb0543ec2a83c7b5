//! A trunk and a kind of parameter sharing from another crate: they implement the public traits, and train like the built-in
//! ones.

use mtl_rng::Seed;
use mtl_tensor::layers::{Conv2d, NormKind};
use mtl_tensor::optim::{self, Optimizer, collect};
use mtl_tensor::{Ctx, DType, Params, Result, Scope, Tensor, backward, gradcheck, to_f64};
use mtl_trunk::sharing::{self, Sharing, SharingConfig};
use mtl_trunk::{Features, TapSpec, TaskFeatures, Trunk, TrunkConfig, resnet};

/// One strided convolution.
#[derive(Clone, Debug)]
struct Tiny {
    width: usize,
}

#[derive(Debug)]
struct TinyTrunk {
    conv: Conv2d,
    taps: [TapSpec; 1],
}

impl TrunkConfig for Tiny {
    fn build(&self, scope: &Scope, channels: usize) -> Result<Box<dyn Trunk>> {
        let conv = Conv2d::new(&scope.sub("conv"), (channels, self.width), 3, 2, true)?;
        Ok(Box::new(TinyTrunk { conv, taps: [TapSpec { stride: 2, channels: self.width }] }))
    }
}

impl Trunk for TinyTrunk {
    fn taps(&self) -> &[TapSpec] {
        &self.taps
    }

    fn forward(&self, images: &Tensor, _: &Ctx) -> Result<Features> {
        Ok(Features { taps: vec![self.conv.forward_relu(images)?] })
    }
}

/// Soft sharing: a trunk per task, and one of them also for the generators. Nothing is shared.
#[derive(Debug)]
struct Separate;

#[derive(Debug)]
struct SeparateTrunks {
    trunks: Vec<Box<dyn Trunk>>,
}

impl SharingConfig for Separate {
    fn build(
        &self,
        params: &Params,
        trunk: &dyn TrunkConfig,
        channels: usize,
        tasks: usize,
    ) -> Result<Box<dyn Sharing>> {
        let scope = params.scope("trunks");
        let trunks = (0..tasks).map(|task| trunk.build(&scope.sub(format!("task{task}")), channels));
        Ok(Box::new(SeparateTrunks { trunks: trunks.collect::<Result<_>>()? }))
    }
}

impl Sharing for SeparateTrunks {
    fn taps(&self) -> &[TapSpec] {
        self.trunks[0].taps()
    }

    fn forward(&self, images: &Tensor, cx: &Ctx) -> Result<TaskFeatures> {
        let entries = self.trunks.iter().map(|trunk| trunk.forward(images, cx)).collect::<Result<Vec<_>>>()?;
        Ok(TaskFeatures { of_task: (0..entries.len()).collect(), entries })
    }

    fn shared(&self) -> &[String] {
        &[]
    }

    fn has_common_representation(&self) -> bool {
        false
    }

    fn trunk(&self) -> &dyn Trunk {
        &*self.trunks[0]
    }
}

fn images() -> Tensor {
    Tensor::from_vec(Seed::new(6).stream("images", &[]).normals(2 * 3 * 16 * 16), (2, 3, 16, 16), gradcheck::device())
        .unwrap()
}

/// Two steps on the tasks' losses, the mean squares of their features: the loss falls. Returns the parameters.
fn train(sharing: &dyn SharingConfig, trunk: &dyn TrunkConfig) -> (Params, Box<dyn Sharing>) {
    let params = Params::new(Seed::new(5), DType::F32, gradcheck::device());
    let built = sharing.build(&params, trunk, 3, 2).unwrap();
    let sgd = optim::Config::Sgd { momentum: 0.0, weight_decay: 0.0 };
    let mut optimizer = Optimizer::new(sgd, &params.trainable(), |_| 1.0).unwrap();
    let mut losses = Vec::new();
    for step in 0..2 {
        let features = built.forward(&images(), &Ctx::train(Seed::new(0), step)).unwrap();
        let loss = |task: usize| features.of(task).deepest().unwrap().sqr().unwrap().mean_all().unwrap();
        let total = (loss(0) + loss(1)).unwrap();
        losses.push(to_f64(&total).unwrap()[0]);
        let grads = collect(&backward(&total).unwrap(), &params.trainable());
        assert_eq!(grads.len(), params.trainable().len(), "every parameter gets a gradient");
        optimizer.step(&grads, 0.05, 1.0).unwrap();
    }
    assert!(losses[1] < losses[0], "{losses:?}");
    (params, built)
}

#[test]
fn a_trunk_from_outside_under_hard_sharing() {
    let (params, built) = train(&sharing::hard::Config {}, &Tiny { width: 4 });
    assert_eq!(params.trainable().into_keys().collect::<Vec<_>>(), ["trunk.conv.bias", "trunk.conv.weight"]);
    assert_eq!(built.shared(), ["trunk"]);
    assert!(built.has_common_representation());
    assert_eq!(built.taps(), built.trunk().taps());
    let features = built.forward(&images(), &Ctx::eval()).unwrap();
    assert_eq!((features.entries.len(), &features.of_task[..]), (1, &[0, 0][..]));
}

#[test]
fn a_sharing_from_outside_over_a_built_in_trunk() {
    let trunk =
        resnet::Config { widths: Some([4, 4, 8]), blocks: Some(1), norm: NormKind::Group, ..Default::default() };
    let (params, built) = train(&Separate, &trunk);
    let of =
        |task: usize| params.trainable().keys().filter(|name| name.starts_with(&format!("trunks.task{task}."))).count();
    assert!(of(0) > 0 && of(0) == of(1) && of(0) + of(1) == params.trainable().len());
    assert!(!built.has_common_representation() && built.shared().is_empty());
    let features = built.forward(&images(), &Ctx::eval()).unwrap();
    assert_ne!(to_f64(features.of(0).deepest().unwrap()).unwrap(), to_f64(features.of(1).deepest().unwrap()).unwrap());
}

#[test]
fn hard_sharing_is_the_default_and_gives_every_task_the_features_of_the_trunk() {
    let config: sharing::Config = serde_json::from_str(r#"{"hard": {}}"#).unwrap();
    assert_eq!((config.clone(), config.name()), (sharing::Config::default(), "hard"));
    let params = Params::new(Seed::new(5), DType::F32, gradcheck::device());
    let built = config.build(&params, &mtl_trunk::Config::default(), 3, 3).unwrap();
    let alone = Params::new(Seed::new(5), DType::F32, gradcheck::device());
    let trunk = mtl_trunk::Config::default().build(&alone.scope("trunk"), 3).unwrap();
    assert_eq!(params.all().into_keys().collect::<Vec<_>>(), alone.all().into_keys().collect::<Vec<_>>());
    let expected = trunk.forward(&images(), &Ctx::eval()).unwrap();
    let features = built.forward(&images(), &Ctx::eval()).unwrap();
    for task in 0..3 {
        for (a, b) in features.of(task).taps.iter().zip(&expected.taps) {
            assert_eq!(to_f64(a).unwrap(), to_f64(b).unwrap());
        }
    }
}

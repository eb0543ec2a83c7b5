//! One trunk, one head a task, and the generators, in one named set of parameters.

use std::collections::BTreeMap;

use mtl_gen::gan::Gan;
use mtl_gen::vae::Vae;
use mtl_gen::{Generator, Setting};
use mtl_heads::reconstruction::Reconstruction;
use mtl_heads::{Head, Place};
use mtl_rng::Seed;
use mtl_task::Task;
use mtl_tensor::{DType, Device, Params, Tensor, Var};
use mtl_trunk::Trunk;

use crate::config::{Config, ReconstructionKind, Stage};
use crate::error::Result;
use crate::plan::RunSchema;

/// What gives images back in the joint stage.
#[derive(Debug)]
pub enum ImageTask {
    /// The model's VAE.
    Vae,
    /// The tutorial's head.
    Autoencoder(Reconstruction),
}

/// All networks of a run.
#[derive(Debug)]
pub struct Model {
    /// Every parameter, sorted by name: `trunk.*`, `heads.TASK.*`, `autoencoder.*`, `vae.*`, `gan.*`.
    pub params: Params,
    /// The shared encoder.
    pub trunk: Box<dyn Trunk>,
    /// Tasks and their heads, in schema order.
    pub heads: Vec<(Task, Box<dyn Head>)>,
    /// The joint stage's task without labels.
    pub image_task: Option<ImageTask>,
    /// The VAE, if it is trained in any stage or taken over from another run.
    pub vae: Option<Vae>,
    /// The GAN, if it is trained.
    pub gan: Option<Gan>,
    /// Index of the head whose classes condition the generators.
    pub condition: Option<usize>,
}

/// Name of the image task in logs and balancers.
pub const RECONSTRUCTION: &str = "reconstruction";

impl Model {
    /// Builds every network a configuration asks for; first values follow from the seed and the parameters' names.
    ///
    /// # Errors
    /// Settings that do not fit the data.
    pub fn new(config: &Config, schema: &RunSchema, device: &Device) -> Result<Self> {
        let params = Params::new(Seed::new(config.seed), DType::F32, device);
        let trunk = config.model.trunk.build(&params.scope("trunk"), schema.channels)?;
        let taps = trunk.taps().to_vec();
        let mut heads = Vec::new();
        let scope = params.scope("heads");
        for (task, counts) in schema.tasks.iter().zip(&schema.class_counts) {
            let place = Place {
                taps: taps.clone(),
                height: schema.height,
                width: schema.width,
                class_counts: Some(counts.clone()),
            };
            let head = config.heads.get(&task.name).cloned().unwrap_or_else(|| mtl_heads::Config::for_task(&task.kind));
            heads.push((task.clone(), head.build(&scope.scope(&task.name), task, &place)?));
        }
        let joint = config.stages.contains(&Stage::Joint);
        let setting = Setting {
            trunk: &config.model.trunk,
            taps: &taps,
            size: (schema.height, schema.width),
            channels: schema.channels,
            classes: schema.condition_classes().len(),
        };
        let reconstruction = config.model.reconstruction;
        let learnt = joint || config.model.from.is_some();
        let vae = if (learnt && reconstruction == ReconstructionKind::Vae) || config.stages.contains(&Stage::Vae) {
            Some(Vae::new(&config.model.vae, &params.scope("vae"), &setting)?)
        } else {
            None
        };
        let gan = if config.stages.contains(&Stage::Gan) {
            Some(Gan::new(&config.model.gan, &params.scope("gan"), &setting)?)
        } else {
            None
        };
        let image_task = match reconstruction {
            _ if !joint => None,
            ReconstructionKind::Vae => Some(ImageTask::Vae),
            ReconstructionKind::Autoencoder => {
                let place = Place { taps, height: schema.height, width: schema.width, class_counts: None };
                Some(ImageTask::Autoencoder(Reconstruction::new(
                    &params.scope("autoencoder"),
                    &place,
                    schema.channels,
                )?))
            }
            ReconstructionKind::None => None,
        };
        Ok(Self { params, trunk, heads, image_task, vae, gan, condition: schema.condition })
    }

    /// The generator a stage trains.
    pub fn generator(&self, stage: Stage) -> Option<&dyn Generator> {
        match stage {
            Stage::Joint => None,
            Stage::Vae => self.vae.as_ref().map(|vae| vae as &dyn Generator),
            Stage::Gan => self.gan.as_ref().map(|gan| gan as &dyn Generator),
        }
    }

    /// Trained parameters below any of the prefixes.
    pub fn trained(&self, prefixes: &[&str]) -> BTreeMap<String, Var> {
        select(self.params.trained(), prefixes)
    }

    /// Parameters and running statistics below any of the prefixes.
    pub fn everything(&self, prefixes: &[&str]) -> BTreeMap<String, Var> {
        select(self.params.all(), prefixes)
    }

    /// Copies of all values, to be saved.
    ///
    /// # Errors
    /// Out of memory.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        let copy = |(name, var): (String, Var)| Ok((name, var.as_tensor().detach().copy()?));
        self.params.all().into_iter().map(copy).collect()
    }

    /// Sets the values that are there, leaving the others.
    ///
    /// # Errors
    /// A name the model has not, another shape.
    pub fn overwrite(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut all = self.values()?;
        all.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(self.params.load(&all)?)
    }

    /// Prefixes of what the joint stage trains.
    pub fn joint_prefixes(&self) -> Vec<&'static str> {
        let mut prefixes = vec!["trunk", "heads"];
        match self.image_task {
            Some(ImageTask::Vae) => prefixes.push("vae"),
            Some(ImageTask::Autoencoder(_)) => prefixes.push("autoencoder"),
            None => {}
        }
        prefixes
    }
}

fn select(vars: BTreeMap<String, Var>, prefixes: &[&str]) -> BTreeMap<String, Var> {
    let below =
        |name: &str| prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')));
    vars.into_iter().filter(|(name, _)| below(name)).collect()
}

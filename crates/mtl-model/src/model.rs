//! All networks of a model in one named set of parameters.

use std::collections::BTreeMap;
use std::sync::Arc;

use mtl_gen::{Generator, GeneratorConfig, GeneratorInput};
use mtl_heads::{HeadConfig, HeadInput};
use mtl_rng::Seed;
use mtl_task::Task;
use mtl_tensor::{DType, Device, Params, Tensor, Var};
use mtl_trunk::sharing::{self, Sharing, SharingConfig};
use mtl_trunk::{Trunk, TrunkConfig};

use crate::error::{Error, Result};
use crate::objective::{Labelled, Objective, ObjectiveConfig, ObjectiveInput};
use crate::objectives::{self, head::HeadObjective};
use crate::schema::Schema;

/// The settings a model is built from: registered kinds of everything. [`ModelParts`] takes kinds of other crates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelConfig {
    /// Random seed of the initial weights. Default 0.
    pub seed: u64,
    /// The encoder.
    pub trunk: mtl_trunk::Config,
    /// How the tasks share it.
    pub sharing: sharing::Config,
    /// Heads by task; a task without an entry gets the default head of its kind.
    pub heads: BTreeMap<String, mtl_heads::Config>,
    /// Generators by name. A generator's parameters lie below its name.
    pub generators: BTreeMap<String, mtl_gen::Config>,
    /// Unlabelled objectives of the joint stage by name.
    pub objectives: BTreeMap<String, objectives::Config>,
}

impl ModelConfig {
    /// The head of a task.
    pub fn head(&self, task: &Task) -> mtl_heads::Config {
        self.heads.get(&task.name).cloned().unwrap_or_else(|| mtl_heads::Config::for_task(&task.kind))
    }
}

/// The settings of every part of a model as the traits that build them: registered kinds, or types of other crates.
#[derive(Clone, Debug)]
pub struct ModelParts<'a> {
    /// Random seed of the initial weights.
    pub seed: u64,
    /// The encoder.
    pub trunk: &'a dyn TrunkConfig,
    /// How the tasks share it.
    pub sharing: &'a dyn SharingConfig,
    /// Heads by task; a task without an entry gets the default head of its kind.
    pub heads: BTreeMap<String, &'a dyn HeadConfig>,
    /// Generators by name.
    pub generators: BTreeMap<String, &'a dyn GeneratorConfig>,
    /// Unlabelled objectives by name.
    pub objectives: BTreeMap<String, &'a dyn ObjectiveConfig>,
}

impl<'a> From<&'a ModelConfig> for ModelParts<'a> {
    fn from(config: &'a ModelConfig) -> Self {
        Self {
            seed: config.seed,
            trunk: &config.trunk,
            sharing: config.sharing.member(),
            heads: config.heads.iter().map(|(task, head)| (task.clone(), head.member())).collect(),
            generators: config.generators.iter().map(|(name, kind)| (name.clone(), kind.member())).collect(),
            objectives: config.objectives.iter().map(|(name, kind)| (name.clone(), kind.member())).collect(),
        }
    }
}

/// Encoder, objectives and generators.
#[derive(Debug)]
pub struct Model {
    /// Every parameter, sorted by name.
    pub params: Params,
    /// The shared encoder.
    pub sharing: Box<dyn Sharing>,
    /// The labelled tasks in schema order, then the unlabelled objectives in the order of their names.
    pub objectives: Vec<Box<dyn Objective>>,
    /// Generators by name.
    pub generators: BTreeMap<String, Arc<dyn Generator>>,
    /// Index of the objective whose classes condition the generators.
    pub condition: Option<usize>,
}

impl Model {
    /// Builds every network of `config`. Initial weights depend on the seed and the parameters' names alone.
    ///
    /// # Errors
    /// Settings out of range, or that do not fit the tasks.
    pub fn new(config: &ModelConfig, schema: &Schema, device: &Device) -> Result<Self> {
        for task in &schema.tasks {
            config.head(task).check(task)?;
        }
        Self::from_parts(&config.into(), schema, device)
    }

    /// Builds every network of `parts`, which may be kinds of other crates.
    ///
    /// # Errors
    /// Those of [`Model::new`].
    pub fn from_parts(parts: &ModelParts<'_>, schema: &Schema, device: &Device) -> Result<Self> {
        let params = Params::new(Seed::new(parts.seed), DType::F32, device);
        let count = schema.tasks.len() + parts.objectives.len();
        let sharing = parts.sharing.build(&params, parts.trunk, schema.channels, count)?;
        let taps = sharing.taps().to_vec();
        let mut objectives: Vec<Box<dyn Objective>> = Vec::with_capacity(count);
        let heads = params.scope("heads");
        for (target, (task, counts)) in schema.tasks.iter().zip(&schema.class_counts).enumerate() {
            let input = HeadInput {
                taps: taps.clone(),
                height: schema.height,
                width: schema.width,
                class_counts: Some(counts.clone()),
                values: schema.values.get(target).copied().flatten(),
            };
            let scope = heads.sub(&task.name);
            let default = mtl_heads::Config::for_task(&task.kind);
            let config = parts.heads.get(&task.name).copied().unwrap_or_else(|| default.member());
            if !config.serves(&task.kind) {
                let problem = format!("the head does not serve tasks of kind {}", task.kind.name());
                return Err(Error::Setting { key: format!("heads.{}", task.name), problem });
            }
            let head = config.build(&scope, task, &input)?;
            objectives.push(Box::new(HeadObjective {
                task: task.clone(),
                head,
                target,
                prefix: scope.name().to_owned(),
            }));
        }
        let input = GeneratorInput {
            trunk: parts.trunk,
            taps: &taps,
            size: (schema.height, schema.width),
            channels: schema.channels,
            classes: schema.condition_classes().len(),
        };
        let build = |(name, generator): (&String, &&dyn GeneratorConfig)| {
            Ok((name.clone(), generator.build(&params.scope(name), &input)?))
        };
        let generators = parts.generators.iter().map(build).collect::<Result<BTreeMap<_, _>>>()?;
        for (name, objective) in &parts.objectives {
            let input = ObjectiveInput { name, params: &params, taps: &taps, schema, generators: &generators };
            let Some(objective) = objective.build(&input)? else { continue };
            // Gradients are kept by parameter: two objectives of the same parameters would overwrite each other.
            if let Some(other) = objectives.iter().find(|other| other.prefix() == objective.prefix()) {
                let (prefix, other) = (objective.prefix(), other.name());
                let problem = format!("trains `{prefix}`, which the objective `{other}` trains already");
                return Err(Error::Setting { key: format!("objectives.{name}"), problem });
            }
            if objectives.iter().any(|other| other.name() == name) {
                let problem = "is the name of a task; choose another name".to_owned();
                return Err(Error::Setting { key: format!("objectives.{name}"), problem });
            }
            objectives.push(objective);
        }
        Ok(Self { params, sharing, objectives, generators, condition: schema.condition })
    }

    /// Names of all objectives, in order: the losses that a balancer weights.
    pub fn objective_names(&self) -> Vec<String> {
        self.objectives.iter().map(|objective| objective.name().to_owned()).collect()
    }

    /// The labelled tasks with their heads, in schema order.
    pub fn labelled(&self) -> impl Iterator<Item = Labelled<'_>> {
        self.objectives.iter().filter_map(|objective| objective.labelled())
    }

    /// The encoder that generators use.
    pub fn trunk(&self) -> &dyn Trunk {
        self.sharing.trunk()
    }

    /// Name prefixes of everything the joint stage trains.
    pub fn joint_prefixes(&self) -> Vec<&str> {
        let shared = self.sharing.shared().iter().map(String::as_str);
        shared.chain(self.objectives.iter().map(|objective| objective.prefix())).collect()
    }

    /// Trainable parameters below any of the prefixes.
    pub fn trainable(&self, prefixes: &[&str]) -> BTreeMap<String, Var> {
        select(self.params.trainable(), prefixes)
    }

    /// Trainable parameters that several tasks share.
    pub fn shared(&self) -> BTreeMap<String, Var> {
        let prefixes: Vec<&str> = self.sharing.shared().iter().map(String::as_str).collect();
        self.trainable(&prefixes)
    }

    /// Parameters and running statistics below any of the prefixes.
    pub fn everything(&self, prefixes: &[&str]) -> BTreeMap<String, Var> {
        select(self.params.all(), prefixes)
    }

    /// Copies of all parameters and running statistics.
    ///
    /// # Errors
    /// Out of memory.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        let copy = |(name, var): (String, Var)| Ok((name, var.as_tensor().detach().copy()?));
        self.params.all().into_iter().map(copy).collect()
    }

    /// Overwrites the parameters that `values` names; the others keep their values.
    ///
    /// # Errors
    /// A name that the model does not have, another shape.
    pub fn overwrite(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut all = self.values()?;
        all.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(self.params.load(&all)?)
    }
}

fn select(vars: BTreeMap<String, Var>, prefixes: &[&str]) -> BTreeMap<String, Var> {
    let below =
        |name: &str| prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')));
    vars.into_iter().filter(|(name, _)| below(name)).collect()
}

//! The evaluation of a run's generators.

use std::path::{Path, PathBuf};
use std::time::Instant;

use mtl_metrics::Score;
use mtl_metrics::generation::{
    Features, GenerationScore, GenerationScores, MIN_FOR_FRECHET, Memorisation, compare, compare_classes, floor,
    floor_rows, memorisation,
};
use mtl_rng::Seed;
use serde::Serialize;

use super::evaluator::{self, Evaluator};
use super::images::Images;
use super::inception::{Inception, InceptionReport, RealInception};
use super::neighbours;
use super::random::{self, RandomFeatures, RandomNetworks, mean_over_networks};
use crate::data::Plan;
use crate::error::{Error, Result};
use crate::eval::evaluate::own_plan;
use crate::eval::generate::choose_generators;
use crate::eval::leakage::TrainedOn;
use crate::store::LoadedRun;

/// Samples without a number given, at most.
const SAMPLES: usize = 2_000;
/// Of the draw of training images for the floor.
const FLOOR_SEED: Seed = Seed::new(0);

/// Which samples are compared, and how.
#[derive(Clone, Debug, Default)]
pub struct GenerationRequest {
    /// Samples per generator. Default: as many as real training images, at most 2,000.
    pub samples: Option<usize>,
    /// Also train the evaluator's classifier on samples alone (classification accuracy score). Default false.
    pub classifier_on_samples: bool,
    /// Name of the generator. Default: all that are trained.
    pub generator: Option<String>,
    /// Random seed of the samples. Default 0.
    pub seed: u64,
    /// File of weights of the Inception-v3 of the FID. Default: without its scores.
    pub inception: Option<PathBuf>,
}

/// Scores of the generators of a run.
#[derive(Clone, Debug, Serialize)]
pub struct GenerationEvaluation {
    /// The run folder.
    pub run: PathBuf,
    /// The data set's name.
    pub data: String,
    /// The checkpoint that was scored.
    pub checkpoint: PathBuf,
    /// Subset that samples are compared with: `test`.
    pub part: &'static str,
    /// Images of that subset.
    pub held_out: usize,
    /// Real training images.
    pub training: usize,
    /// Samples per generator.
    pub samples: usize,
    /// The trained classifier whose features are used; `None` without a classification task.
    pub evaluator: Option<EvaluatorReport>,
    /// The Inception-v3 whose features are used; `None` without its weights.
    pub inception: Option<InceptionReport>,
    /// Scores of training images in place of samples, by network: what a perfect generator scores.
    pub floor: Vec<NetworkScores>,
    /// The generators.
    pub generators: Vec<GeneratorReport>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// What the user should know: the best checkpoint was damaged and another one is used; held-out images were learned from.
    pub warning: Option<String>,
    /// Duration.
    pub seconds: f64,
}

/// The trained classifier.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluatorReport {
    /// The classification task.
    pub task: String,
    /// Accuracy on the held-out images.
    pub accuracy: Score,
    /// SHA-256 of its weights, in `RUN/evaluation`.
    pub sha256: String,
    /// Whether an earlier evaluation has trained it.
    pub kept: bool,
}

/// Scores in the features of one network.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkScores {
    /// `evaluator`, `inception` or `random`; "Inception features of FILE" for other weights than the published ones.
    pub network: String,
    /// KID first.
    pub scores: Vec<GenerationScore>,
}

/// Accuracies of classifiers on samples and of classifiers trained on samples.
#[derive(Clone, Debug, Serialize)]
pub struct ClassifierAccuracy {
    /// Share of the samples that the evaluator assigns to the class they were sampled for.
    pub samples: Score,
    /// Accuracy on held-out real images of the same classifier trained on samples alone, as many as real training images and of
    /// the same classes (classification accuracy score, Ravuri and Vinyals 2019); to be compared with the evaluator's accuracy.
    /// `None` unless requested.
    pub trained_on_samples: Option<Score>,
}

/// Scores of one generator.
#[derive(Clone, Debug, Serialize)]
pub struct GeneratorReport {
    /// Its name.
    pub generator: String,
    /// By network, the evaluator first.
    pub networks: Vec<NetworkScores>,
    /// `None` without an evaluator.
    pub classifier: Option<ClassifierAccuracy>,
    /// Copies of training images, by distances in the features of the random networks.
    pub memorisation: Memorisation,
    /// Samples beside their nearest training images.
    pub picture: PathBuf,
}

/// Scores the generators of a run against the held-out images of its data; writes `RUN/evaluation/generation.json` and a picture
/// per generator. `progress` gets a line before each part that takes long.
///
/// Cost on two cores at 64x64 and 1,000 training images: about a minute for the evaluator, once; about 10 s per generator for
/// 1,000 samples; Inception-v3 takes far longer (docs/generators.md). Memory: training and held-out images in 8 bits, and 7 KiB of
/// features per image, with Inception-v3 15 KiB.
///
/// # Errors
/// A run without a trained generator, data that is gone or has changed, fewer than six held-out images, weights of
/// another network than the Inception-v3 of the FID.
pub fn evaluate_generation(
    run: &Path,
    request: &GenerationRequest,
    device: Option<&str>,
    progress: &mut dyn FnMut(&str),
) -> Result<GenerationEvaluation> {
    let began = Instant::now();
    let trained = LoadedRun::load_with_inventory(run, device)?;
    let names = choose_generators(&trained, request.generator.as_deref())?;
    let inception = request
        .inception
        .as_deref()
        .map(|file| Inception::open(file, trained.schema.channels, &trained.device))
        .transpose()?;
    let plan = own_plan(run, &trained)?;
    let mut warnings: Vec<String> = trained.warning.iter().cloned().collect();
    let seen = TrainedOn::before(&trained.config)?;
    warnings.extend(seen.warning(&*plan.dataset, &plan.split.test, "held-out images")?);
    warnings.extend(seen.doubts("held-out images"));
    let room = Room::open(run, &trained, &plan, request, inception, progress)?;
    let mut generators = Vec::new();
    for name in names {
        progress(&format!("{} samples of {name}", room.labels.len()));
        generators.push(room.generator(&name, request, progress)?);
    }
    let evaluation = GenerationEvaluation {
        run: run.to_owned(),
        data: plan.schema.data.clone(),
        checkpoint: trained.checkpoint.clone(),
        part: "test",
        held_out: room.held_out.len(),
        training: room.training_rows.len(),
        samples: room.labels.len(),
        floor: room.floor()?,
        generators,
        notes: room.notes.clone(),
        warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
        seconds: began.elapsed().as_secs_f64(),
        evaluator: room.judge.map(|judge| judge.report),
        inception: room.inception.map(|inception| inception.report),
    };
    let path = run.join("evaluation").join("generation.json");
    let text = serde_json::to_vec_pretty(&evaluation)
        .map_err(|error| Error::Run { path: path.clone(), problem: format!("cannot be written: {error}") })?;
    crate::store::atomic::write_atomically(&path, &text)?;
    Ok(evaluation)
}

/// Everything that generators of one run are compared with.
struct Room<'a> {
    run: &'a Path,
    trained: &'a LoadedRun,
    plan: &'a Plan,
    /// Rows of the real training images.
    training_rows: Vec<usize>,
    training: Images,
    held_out: Images,
    random: RandomNetworks,
    /// Random features of training and held-out images.
    random_features: [RandomFeatures; 2],
    judge: Option<Judge>,
    inception: Option<RealInception>,
    /// Class of each sample.
    labels: Vec<i32>,
    notes: Vec<String>,
}

/// The trained classifier and its features.
struct Judge {
    evaluator: Evaluator,
    training: Features<'static>,
    held_out: Features<'static>,
    report: EvaluatorReport,
}

impl<'a> Room<'a> {
    fn open(
        run: &'a Path,
        trained: &'a LoadedRun,
        plan: &'a Plan,
        request: &GenerationRequest,
        inception: Option<Inception>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let training_rows: Vec<usize> = plan.real_training_rows().collect();
        let mut notes = Vec::new();
        progress(&format!("reading {} training and {} held-out images", training_rows.len(), plan.split.test.len()));
        let training = Images::real(plan, &training_rows)?;
        let held_out = Images::real(plan, &plan.split.test)?;
        if held_out.len() < 6 || training.len() < 6 {
            let problem = format!(
                "{} held-out and {} training images: samples can be compared with at least six of each (data.split.test)",
                held_out.len(),
                training.len()
            );
            return Err(Error::DataMismatch(problem));
        }
        let device = &trained.device;
        let random = RandomNetworks::new(plan.schema.channels, &training, device)?;
        let random_features = [random.features(&training, device)?, random.features(&held_out, device)?];
        let classes = plan.schema.condition_classes().len();
        let known = |images: &Images| images.classes.iter().filter(|class| **class >= 0).count();
        let judge = if classes < 2 || known(&training) < 2 || known(&held_out) == 0 {
            notes.push("no classification task with labels: features of random networks only".into());
            None
        } else {
            progress("training the evaluator, unless an earlier evaluation has (a minute or less)");
            Some(Judge::new(run, trained, plan, [&training, &held_out])?)
        };
        let count = request.samples.unwrap_or(training.len().min(SAMPLES));
        if !(6..=100_000).contains(&count) {
            return Err(Error::setting("samples", format!("from 6 to 100,000 samples can be compared, not {count}")));
        }
        let labels = labels(&training, count, classes, request.seed);
        let inception = inception.map(|inception| {
            let floor = training.select(&floor_rows(training.len(), count, FLOOR_SEED));
            RealInception::new(inception, &run.join("evaluation"), [&held_out, &floor], progress)
        });
        let inception = inception.transpose()?;
        notes.extend(inception.as_ref().and_then(RealInception::note));
        if held_out.len().min(count) < MIN_FOR_FRECHET {
            notes.push(format!(
                "no Frechet distance: it needs {MIN_FOR_FRECHET} held-out images and samples, these are {} and {count}",
                held_out.len()
            ));
        }
        if held_out.len() < 50 {
            notes.push(format!("{} held-out images: differences between generators are mostly chance", held_out.len()));
        }
        Ok(Self {
            run,
            trained,
            plan,
            training_rows,
            training,
            held_out,
            random,
            random_features,
            judge,
            inception,
            labels,
            notes,
        })
    }

    /// Training images in place of samples.
    fn floor(&self) -> Result<Vec<NetworkScores>> {
        let seed = FLOOR_SEED;
        let count = self.labels.len();
        let mut all = Vec::new();
        if let Some(judge) = &self.judge {
            let scores = floor(&judge.held_out, &judge.training, count, seed)?;
            all.push(named(evaluator::NAME, &scores));
        }
        if let Some(inception) = &self.inception {
            all.push(inception.floor()?);
        }
        let [training, held_out] = &self.random_features;
        let other = training.select(&floor_rows(self.training.len(), count, seed));
        all.push(averaged(held_out.compare(&other)?));
        Ok(all)
    }

    fn generator(
        &self,
        name: &str,
        request: &GenerationRequest,
        progress: &mut dyn FnMut(&str),
    ) -> Result<GeneratorReport> {
        let generator = &*self.trained.model.generators[name];
        let mut stream = Seed::new(request.seed).stream("evaluated samples", &[]);
        let samples = Images::sampled(generator, &self.labels, &mut stream)?;
        let mut networks = Vec::new();
        let mut classifier = None;
        if let Some(judge) = &self.judge {
            let classes = self.plan.schema.condition_classes().len();
            let features = judge.evaluator.features(&samples)?;
            let mut own = named(evaluator::NAME, &compare(&judge.held_out, &features)?);
            own.scores.extend(compare_classes(
                (&judge.held_out, &self.held_out.classes),
                (&features, &samples.classes),
                classes,
            )?);
            networks.push(own);
            let trained_on_samples = if request.classifier_on_samples {
                let labels: Vec<i32> = self.training.classes.iter().copied().filter(|class| *class >= 0).collect();
                let mut stream = Seed::new(request.seed).stream("samples to train on", &[]);
                let images = Images::sampled(generator, &labels, &mut stream)?;
                Evaluator::accuracy_after_training_on(&images, &self.held_out, classes, &self.trained.device)?
            } else {
                None
            };
            let accuracy = judge.evaluator.accuracy(&samples, classes)?;
            classifier = accuracy.map(|samples| ClassifierAccuracy { samples, trained_on_samples });
        }
        if let Some(inception) = &self.inception {
            networks.push(inception.scores(&samples, &format!("samples of {name}"), progress)?);
        }
        let features = self.random.features(&samples, &self.trained.device)?;
        let [training, held_out] = &self.random_features;
        networks.push(averaged(held_out.compare(&features)?));
        let memorisation = memorisation(&features.joined()?, &training.joined()?, &held_out.joined()?)?;
        let picture = self.run.join("evaluation").join(format!("{name}-nearest.png"));
        neighbours::draw(&picture, &samples, &memorisation, self.plan, &self.training_rows)?;
        Ok(GeneratorReport { generator: name.to_owned(), networks, classifier, memorisation, picture })
    }
}

impl Judge {
    fn new(run: &Path, trained: &LoadedRun, plan: &Plan, [training, held_out]: [&Images; 2]) -> Result<Self> {
        let classes = plan.schema.condition_classes().len();
        let folder = run.join("evaluation");
        let (evaluator, kept) = Evaluator::kept_or_new(&folder, training, classes, &trained.device)?;
        let accuracy = evaluator.accuracy(held_out, classes)?;
        let accuracy = accuracy.ok_or_else(|| Error::DataMismatch("no held-out image has a class".into()))?;
        let task = plan.schema.condition.map_or(String::new(), |at| plan.schema.tasks[at].name.clone());
        let report = EvaluatorReport { task, accuracy, sha256: evaluator.sha256.clone(), kept };
        let (training, held_out) = (evaluator.features(training)?, evaluator.features(held_out)?);
        Ok(Self { evaluator, training, held_out, report })
    }
}

/// Classes of the samples: those of the training images in a random order, so that samples and real images have the same
/// shares. Without labels, -1; with classes that no training image has, all in turn.
fn labels(training: &Images, count: usize, classes: usize, seed: u64) -> Vec<i32> {
    let known: Vec<i32> = training.classes.iter().copied().filter(|class| *class >= 0).collect();
    if classes == 0 {
        return vec![-1; count];
    }
    if known.is_empty() {
        return (0..count).map(|at| (at % classes) as i32).collect();
    }
    let order = Seed::new(seed).stream("classes of samples", &[]).permutation(known.len());
    (0..count).map(|at| known[order[at % order.len()]]).collect()
}

fn named(network: &str, scores: &GenerationScores) -> NetworkScores {
    NetworkScores { network: network.to_owned(), scores: scores.list().into_iter().cloned().collect() }
}

/// Each score as mean over the random networks.
fn averaged(each: Vec<GenerationScores>) -> NetworkScores {
    let lists: Vec<Vec<&GenerationScore>> = each.iter().map(GenerationScores::list).collect();
    let scores =
        (0..lists[0].len()).map(|at| mean_over_networks(&lists.iter().map(|list| list[at]).collect::<Vec<_>>()));
    NetworkScores { network: random::NAME.to_owned(), scores: scores.collect() }
}

//! The GAN's mode `live`: its critic's trunk goes on learning, and stays one that serves the tasks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mtl_tensor::{Ctx, Tensor, to_f64};
use mtl_train::checkpoint::Checkpoint;
use mtl_train::plan::Plan;
use mtl_train::{Trained, evaluate, settings, train};

use crate::tiny;

fn steps(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["stage"] == "gan").collect()
}

/// A GAN on the trunk of `joint`.
fn live(joint: &Path, more: &[&str]) -> PathBuf {
    let fixed = ["stages=[\"gan\"]", "model.gan.mode=live", "budget.gan_steps=16"];
    let more: Vec<String> = fixed.iter().chain(more).map(|text| (*text).to_owned()).collect();
    train(settings::load_from(joint, None, &more).unwrap(), &mut [], &AtomicBool::new(false)).unwrap()
}

/// The sum of the tasks' losses on training images, the heads reading the critic's trunk.
fn task_loss(run: &Path) -> f64 {
    let trained = Trained::load(run, None).unwrap();
    let plan = Plan::new(trained.config.clone()).unwrap();
    let batch = mtl_data::loader::batch_of(&*plan.dataset, &plan.split.train, plan.schema.size()).unwrap();
    let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &trained.device).unwrap();
    let features = trained.model.gan.as_ref().unwrap().own_features(&images).unwrap().unwrap();
    let mut sum = 0.0;
    for ((_, head), target) in trained.model.heads.iter().zip(plan.targets(&batch)) {
        let loss = head.loss(&head.forward(&features, &Ctx::eval()).unwrap(), &target).unwrap().unwrap();
        sum += to_f64(&loss).unwrap()[0];
    }
    sum
}

#[test]
fn the_critics_trunk_keeps_serving_the_tasks_and_the_runs_own_networks_stay() {
    let dir = tempfile::tempdir().unwrap();
    let joint = train(tiny(dir.path(), &["stages=[\"joint\"]", "budget.steps=40"]), &mut [], &AtomicBool::new(false));
    let joint = joint.unwrap();
    let (kept, free) = (live(&joint, &[]), live(&joint, &["model.gan.task_weight=0"]));
    let (with, without) = (task_loss(&kept), task_loss(&free));
    assert!(with < 0.95 * without, "{with} with the tasks' losses, {without} without");

    let learnt = Checkpoint::load(&joint.join("checkpoints/best")).unwrap().weights;
    let after = Checkpoint::load(&kept.join("checkpoints/best")).unwrap().weights;
    for (name, value) in &learnt {
        assert_eq!(to_f64(value).unwrap(), to_f64(&after[name]).unwrap(), "{name} has changed");
    }
    let moved = |name: &str| {
        let own = format!("gan.critic.own.{name}");
        assert_ne!(to_f64(&learnt[name]).unwrap(), to_f64(&after[&own]).unwrap(), "{own} has not learnt");
    };
    moved("trunk.stem.conv.weight");
    // What `eval` says of the tasks is what it said before.
    let score = |run: &Path| evaluate(run, None, None).unwrap().scores[..3].to_vec();
    assert_eq!(score(&joint), score(&kept));

    let names = |run: &Path| {
        let lines = steps(run);
        let keys = lines.iter().flat_map(|line| line["losses"].as_object().unwrap().keys());
        keys.filter(|key| key.starts_with("task/")).cloned().collect::<BTreeSet<_>>()
    };
    assert!(names(&kept).iter().eq(["task/class", "task/depth", "task/parts"]), "{:?}", names(&kept));
    assert!(names(&free).is_empty());
    for line in steps(&kept) {
        let loss = |name: &str| line["losses"][name].as_f64().unwrap();
        let tasks = loss("task/class") + loss("task/depth") + loss("task/parts");
        assert!(loss("critic") > tasks, "the critic's loss holds those of the tasks: {line}");
    }
}

#[test]
fn tasks_without_labels_in_a_batch_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    std::fs::create_dir_all(photos.join("images")).unwrap();
    let mut table = "image,kind,ripe\n".to_owned();
    for at in 0..40u8 {
        let pixel = |x: u32, y: u32| image::Rgb([at * 6, (x * 8) as u8, (y * 8) as u8 ^ at]);
        image::RgbImage::from_fn(32, 32, pixel).save(photos.join(format!("images/{at}.png"))).unwrap();
        // Half of the images have no label at all; few are known to be ripe or not.
        let kind = if at % 2 == 0 { ["apple", "pear"][usize::from(at / 2 % 2)] } else { "" };
        let ripe = if at % 10 == 0 { ["no", "yes"][usize::from(at / 10 % 2)] } else { "" };
        table += &format!("images/{at}.png,{kind},{ripe}\n");
    }
    std::fs::write(photos.join("manifest.csv"), table).unwrap();
    let data = format!("data.path=\"{}\"", photos.display());
    let more = ["stages=[\"gan\"]", "model.gan.mode=live", "gan.batch=2", "budget.gan_steps=24", &data];
    let run = train(tiny(dir.path(), &more), &mut [], &AtomicBool::new(false)).unwrap();
    let (mut with, mut without) = ([0, 0], [0, 0]);
    for line in steps(&run) {
        for (at, task) in ["task/kind", "task/ripe"].iter().enumerate() {
            match line["losses"].get(task) {
                Some(loss) => {
                    assert!(loss.as_f64().is_some_and(f64::is_finite), "{line}");
                    with[at] += 1;
                }
                None => without[at] += 1,
            }
        }
    }
    assert!(with[0] > with[1] && with[1] > 0 && without[0] > 0, "{with:?} {without:?}");
}

//! The GAN's mode `finetuned`: its discriminator's backbone is trained further and is still used for the tasks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, Params, to_f64};
use mtl_train::data::Plan;
use mtl_train::store::checkpoint::Checkpoint;
use mtl_train::{LoadedRun, evaluate};

use crate::{init_from, tiny, trained};

fn steps(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["stage"] == "gan").collect()
}

/// A GAN on the trunk of `joint`.
fn finetuned(joint: &Path, more: &[&str]) -> PathBuf {
    let fixed = ["stages.run=[\"gan\"]", "generators.gan.gan={mode=\"finetuned\",own_lr=5e-3}", "stages.gan.steps=16"];
    trained(init_from(joint, &[&fixed[..], more].concat()))
}

/// The sum of the tasks' losses on training images, with the heads on the discriminator's backbone.
fn task_loss(run: &Path) -> f64 {
    let loaded = LoadedRun::load(run, None).unwrap();
    let plan = Plan::new(loaded.config.clone()).unwrap();
    let batch = plan.batch_of(&plan.split.train, &loaded.device).unwrap();
    // The discriminator's backbone, in parameters of its own.
    const BACKBONE: &str = "gan.critic.own.trunk";
    let params = Params::new(Seed::new(0), DType::F32, &loaded.device);
    let backbone = loaded.config.model.trunk.build(&params.scope(BACKBONE), plan.schema.channels).unwrap();
    let mut values = loaded.model.values().unwrap();
    values.retain(|name, _| name.starts_with(&format!("{BACKBONE}.")));
    params.load(&values).unwrap();
    let features = backbone.forward(&batch.images, &Ctx::eval()).unwrap();
    let loss = mtl_model::step::task_loss::task_loss(&loaded.model, &features, &batch).unwrap().unwrap();
    to_f64(&loss.total).unwrap()[0]
}

#[test]
fn a_finetuned_backbone_is_used_for_the_tasks_and_the_models_own_networks_do_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let joint = trained(tiny(dir.path(), &["stages.run=[\"joint\"]", "budget.steps=40"]));
    let (kept, free) = (finetuned(&joint, &[]), finetuned(&joint, &["generators.gan.gan.task_weight=0"]));
    let (with, without) = (task_loss(&kept), task_loss(&free));
    assert!(with < 0.95 * without, "{with} with the tasks' losses, {without} without");

    let trained = Checkpoint::load(&joint.join("checkpoints/best")).unwrap().weights;
    let after = Checkpoint::load(&kept.join("checkpoints/best")).unwrap().weights;
    for (name, value) in &trained {
        assert_eq!(to_f64(value).unwrap(), to_f64(&after[name]).unwrap(), "{name} has changed");
    }
    let moved = |name: &str| {
        let own = format!("gan.critic.own.{name}");
        assert_ne!(to_f64(&trained[name]).unwrap(), to_f64(&after[&own]).unwrap(), "{own} has not changed");
    };
    moved("trunk.stem.conv.weight");
    // `eval` gives the same scores as before.
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
        // Half of the images have no label at all; few have a yes/no label.
        let kind = if at % 2 == 0 { ["apple", "pear"][usize::from(at / 2 % 2)] } else { "" };
        let ripe = if at % 10 == 0 { ["no", "yes"][usize::from(at / 10 % 2)] } else { "" };
        table += &format!("images/{at}.png,{kind},{ripe}\n");
    }
    std::fs::write(photos.join("manifest.csv"), table).unwrap();
    let data = format!("data.path=\"{}\"", photos.display());
    let more = [
        "stages.run=[\"gan\"]",
        "generators.gan.gan.mode=finetuned",
        "stages.gan.batch=2",
        "stages.gan.steps=24",
        &data,
    ];
    let run = trained(tiny(dir.path(), &more));
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

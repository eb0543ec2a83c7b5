//! Bad input: a clear error with a suggestion, the right exit code, and nothing lost.

use crate::pictures::{folder, picture};
use crate::program::{Place, tiny};

#[test]
fn mistyped_words_get_a_suggestion_and_exit_code_2() {
    let place = Place::new();
    let refuses = |args: &[&str], words: &[&str]| place.refuses(2, args, words);
    refuses(&["trian"], &["trian", "train"]);
    refuses(&["train", "--sead", "1"], &["--sead", "--seed"]);
    refuses(&["train", "--seed", "many"], &["many", "--seed"]);
    refuses(&["train", "--steps", "4", "--minutes", "1"], &["--steps", "--minutes", "cannot be used with"]);
    refuses(&["train", "--preset", "standrd"], &["did you mean `standard`"]);
    refuses(&["train", "--set", "joint.bach=4"], &["bach", "did you mean `batch`"]);
    refuses(&["train", "--set", "jont.batch=4"], &["jont", "did you mean `joint`"]);
    refuses(&["train", "--set", "balancer=pcgard"], &["did you mean `pcgrad`"]);
    refuses(&["train", "--set", "joint.batch"], &["there is no `=`"]);
    refuses(&["train", "--set", "data.tasks=['clas']"], &["clas", "did you mean `class`"]);
    refuses(&["train", "--set", "heads.part.segmentation={}"], &["part", "did you mean `parts`"]);
    refuses(&["train", "--config", "run.toml"], &["there is no configuration run.toml"]);
    refuses(&["list", "trunk"], &["trunk", "trunks"]);
    refuses(&["data", "chek", "."], &["chek", "check"]);
    refuses(&["data", "check", ".", "--reader", "bussi"], &["did you mean `busi`"]);
    assert!(!place.path("runs").exists(), "nothing is written before everything is checked");
}

#[test]
fn impossible_values_say_what_is_allowed() {
    let place = Place::new();
    let refuses = |args: &[&str], words: &[&str]| place.refuses(2, tiny(args), words);
    refuses(&["--size", "33"], &["33 is not divisible by 8", "40"]);
    refuses(&["--size", "512"], &["32 to 256"]);
    refuses(&["--size", "64by64"], &["64x128"]);
    refuses(&["--device", "gpu"], &["gpu", "cpu"]);
    refuses(&["--steps", "0"], &["steps"]);
    refuses(&["--name", "../elsewhere"], &["../elsewhere"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn a_mistake_in_a_file_is_pointed_at() {
    let place = Place::new();
    std::fs::write(place.path("run.toml"), "seed = 1\n\n[joint]\nbatch = 8\nclipp = 1\n").unwrap();
    place.refuses(2, ["train", "--config", "run.toml"], &["run.toml:5:1", "did you mean `clip`"]);
    place.refuses(2, ["train", "--config", "runn.toml"], &["did you mean run.toml?"]);
}

#[test]
fn folders_without_usable_images_are_exit_code_3() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    place.refuses(3, ["train", "--data", "empty"], &["empty", "no images"]);
    place.refuses(3, ["train", "--data", "emty"], &["there is no folder emty", "did you mean empty?"]);
    place.refuses(3, ["train", "--data", "nowhere/photos"], &["not even a folder nowhere"]);
    std::fs::write(place.path("empty/notes.txt"), "hello").unwrap();
    place.refuses(3, ["train", "--data", "empty"], &["notes.txt", "understood are"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn labels_that_cannot_be_used_are_exit_code_3() {
    let place = Place::new();
    folder(&place.path("lonely"), 6);
    std::fs::create_dir(place.path("lonely/images/star")).unwrap();
    picture(true, 50).0.save(place.path("lonely/images/star/0.png")).unwrap();
    place.refuses(3, ["train", "--data", "lonely"], &["star", "one image only"]);
    folder(&place.path("odd"), 6);
    let (_, mask) = picture(true, 0);
    image::imageops::crop_imm(&mask, 0, 0, 16, 32).to_image().save(place.path("odd/masks/disc/00.png")).unwrap();
    place.refuses(3, ["train", "--data", "odd", "--set", "data.open.max_broken=0"], &["masks/disc/00.png", "16"]);
    folder(&place.path("broken"), 6);
    for n in 0..4 {
        std::fs::write(place.path(format!("broken/images/disc/{n:02}.png")), b"no image").unwrap();
    }
    place.refuses(3, ["train", "--data", "broken"], &["disc/00.png", "disc/03.png", "may be skipped"]);
}

#[test]
fn what_is_no_run_is_told() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("runs/photos-0001")).unwrap();
    place.refuses(2, ["resume", "runs/photos-0002"], &["there is no run folder", "did you mean runs/photos-0001?"]);
    for verb in ["resume", "eval", "generate"] {
        place.refuses(1, [verb, "runs/photos-0001"], &["is no run folder"]);
    }
    place.refuses(2, ["predict", "runs/photos-0001"], &["IMAGE"]);
}

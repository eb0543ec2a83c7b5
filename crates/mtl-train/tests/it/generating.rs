//! Use of a trained generator: inversion, interpolation, edits, predictions, and requests that cannot be met.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, RgbImage};
use mtl_data::OpenOptions;
use mtl_gen::Sampling;
use mtl_train::event::{Event, Observer};
use mtl_train::{Edit, Endpoint, Error, ErrorKind, GenerateRequest, Generated, Work, generate, train};

use crate::other_data::class_folder;
use crate::{tiny, trained};

/// Steps in which the decoder of the VAE comes to depend on latents and classes.
const VAE: [&str; 3] = ["stages.run=[\"joint\",\"vae\"]", "stages.vae.steps=60", "stages.vae.lr_scale=3"];

fn made(run: &Path, request: &GenerateRequest) -> Generated {
    generate(run, request, None, &mut |_| {}).unwrap()
}

fn refused(run: &Path, request: &GenerateRequest) -> Error {
    generate(run, request, None, &mut |_| {}).unwrap_err()
}

fn of(count: usize, class: Option<&str>, seed: u64) -> GenerateRequest {
    GenerateRequest { count, class: class.map(str::to_owned), seed, ..GenerateRequest::default() }
}

fn edit(key: &str, class: &str) -> Option<Edit> {
    Some(Edit { key: key.into(), class: class.into() })
}

fn read(path: &Path) -> RgbImage {
    image::open(path).unwrap().into_rgb8()
}

fn rmse(a: &RgbImage, b: &RgbImage) -> f64 {
    let squares = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    (squares.sum::<f64>() / a.as_raw().len() as f64).sqrt()
}

/// Mean difference of all pairs.
fn spread(images: &[PathBuf]) -> f64 {
    let images: Vec<RgbImage> = images.iter().map(|path| read(path)).collect();
    let pairs = || (0..images.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    pairs().map(|(a, b)| rmse(&images[a], &images[b])).sum::<f64>() / pairs().count() as f64
}

fn bytes(paths: &[PathBuf]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn a_trained_generator_is_used_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let run = trained(tiny(dir.path(), &VAE));
    inverts_its_own_sample(&run);
    interpolates(&run);
    edits(&run);
    samples_with_settings(&run);
    predicts(&run);
    refuses(&run);
}

fn inverts_its_own_sample(run: &Path) {
    let own = made(run, &of(2, Some("fish"), 3));
    let apart = spread(&own.images);
    assert!(apart > 4.0, "this test needs a generator whose samples differ: {apart}");
    let like = |seed| GenerateRequest { work: Work::Like(own.images.clone()), ..of(64, Some("fish"), seed) };
    let mut steps = Vec::new();
    let found = generate(run, &like(0), None, &mut |now| steps.push((now.step, now.steps))).unwrap();
    assert_eq!(steps, [(1..=300).map(|at| (at, 300)).collect::<Vec<_>>(), steps[300..].to_vec()].concat());
    assert_eq!(found.inversions.len(), 2);
    for (at, inversion) in found.inversions.iter().enumerate() {
        assert!(inversion.rmse < 1.0 && inversion.rmse <= inversion.start_rmse, "{inversion:?}");
        assert!((inversion.psnr - 20.0 * (255.0 / inversion.rmse).log10()).abs() < 1e-9);
        assert_eq!((inversion.class.as_deref(), inversion.probability), (Some("fish"), None));
        let written = rmse(&read(&own.images[at]), &read(&found.images[at]));
        assert!((written - inversion.rmse).abs() < 0.6, "8 bits: {written} {inversion:?}");
    }
    assert_eq!(read(&found.grid).dimensions(), (3 * 68, 2 * 68));
    // An image does not depend on the others, and equal requests give equal bytes.
    let alone = GenerateRequest { work: Work::Like(own.images[1..].to_vec()), ..like(0) };
    assert_eq!(bytes(&made(run, &alone).images)[0], bytes(&found.images)[1]);
    // Without a class it is the model's own prediction.
    let guessed = made(run, &GenerateRequest { work: Work::Like(own.images[..1].to_vec()), ..of(64, None, 0) });
    assert!(guessed.inversions[0].probability.unwrap() > 0.0);
}

fn interpolates(run: &Path) {
    let ends = |a, b| Work::Interpolate { ends: [a, b], frames: 5 };
    let request = GenerateRequest { work: ends(Endpoint::Seed(4), Endpoint::Seed(9)), ..of(64, Some("fish"), 0) };
    let found = made(run, &request);
    assert_eq!(bytes(&found.animations), bytes(&made(run, &request).animations));
    let open = |at: usize| std::io::BufReader::new(fs::File::open(&found.animations[at]).unwrap());
    let gif = GifDecoder::new(open(0)).unwrap().into_frames().collect_frames().unwrap();
    let apng = PngDecoder::new(open(1)).unwrap().apng().unwrap().into_frames().collect_frames().unwrap();
    // There and back, the ends once.
    assert_eq!((gif.len(), apng.len()), (8, 8));
    let frame = |at: usize| image::DynamicImage::ImageRgba8(apng[at].buffer().clone()).into_rgb8();
    for (at, seed) in [(0, 4), (4, 9)] {
        let end = read(&made(run, &of(1, Some("fish"), seed)).images[0]);
        let large = image::imageops::resize(&end, 128, 128, image::imageops::FilterType::Nearest);
        assert_eq!(frame(at), large, "frame {at} is the first sample of seed {seed}");
        let near = image::DynamicImage::ImageRgba8(gif[at].buffer().clone()).into_rgb8();
        assert!(rmse(&near, &large) < 8.0, "256 colours");
    }
    assert_eq!(frame(1), frame(7));
    assert_eq!(read(&found.grid).dimensions(), (5 * 68, 68));
    assert!(found.notes.is_empty());
    let image = made(run, &of(1, Some("bird"), 1)).images[0].clone();
    let mixed = GenerateRequest { work: ends(Endpoint::Seed(4), Endpoint::Image(image)), ..of(64, None, 0) };
    let mixed = made(run, &mixed);
    assert_eq!(mixed.inversions.len(), 1);
    assert!(mixed.notes[0].contains("the first one"), "{:?}", mixed.notes);
}

fn edits(run: &Path) {
    let plain = made(run, &of(6, Some("fish"), 2));
    let found = made(run, &GenerateRequest { edit: edit("class", "bird"), ..of(6, Some("fish"), 2) });
    assert_eq!(bytes(&found.before), bytes(&plain.images), "the same latents as without the edit");
    assert_ne!(bytes(&found.images), bytes(&plain.images));
    assert!(found.classes.iter().all(|class| class.as_deref() == Some("bird")) && found.manifest.is_none());
    // All other classes in turn.
    let others = made(run, &GenerateRequest { edit: edit("class", "fish"), ..of(30, None, 2) });
    assert!(bytes(&others.before).iter().zip(bytes(&others.images)).all(|(before, after)| *before != after));
    // The latents of an image.
    let like = GenerateRequest { work: Work::Like(vec![plain.images[0].clone()]), ..of(64, Some("fish"), 0) };
    let edited = made(run, &GenerateRequest { edit: edit("class", "bird"), ..like.clone() });
    assert_eq!(bytes(&edited.before), bytes(&made(run, &like).images));
    assert!(rmse(&read(&edited.images[0]), &read(&found.images[0])) < 3.0, "the edit of the sample itself");
    for (wrong, words) in [
        (edit("clas", "bird"), "did you mean `class`"),
        (edit("class", "brid"), "did you mean `bird`"),
        (edit("class", "fish"), "nothing would change"),
    ] {
        let error = refused(run, &GenerateRequest { edit: wrong, ..of(6, Some("fish"), 2) });
        assert!(error.to_string().contains(words) && error.kind() == ErrorKind::Configuration, "{error}");
    }
}

fn samples_with_settings(run: &Path) {
    let at = |truncation| {
        let sampling = Sampling { truncation, ..Sampling::default() };
        spread(&made(run, &GenerateRequest { sampling, ..of(8, Some("fish"), 1) }).images)
    };
    let (full, near, nearest) = (at(1.0), at(0.3), at(1e-6));
    assert!(near < 0.6 * full && nearest < 0.01, "{full} {near} {nearest}");
    let grid = made(run, &GenerateRequest { work: Work::Grid, ..of(9, Some("fish"), 1) });
    let names: Vec<_> = fs::read_dir(&grid.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((names, grid.images.len()), (vec!["grid.png".into()], 0));
    assert_eq!(fs::read(&grid.grid).unwrap(), fs::read(made(run, &of(9, Some("fish"), 1)).grid).unwrap());
}

fn predicts(run: &Path) {
    let found = made(run, &GenerateRequest { predict: true, ..of(7, Some("fish"), 5) });
    let text = fs::read_to_string(found.predictions.as_ref().unwrap()).unwrap();
    let mut table = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(&table.headers().unwrap()[1], "class");
    let classes: Vec<String> = table.records().map(|row| row.unwrap()[1].to_owned()).collect();
    let agreement = found.agreement.as_ref().unwrap();
    let fish = classes.iter().filter(|class| *class == "fish").count();
    assert_eq!((agreement.agreeing, agreement.images, classes.len()), (fish, 7, 7));
    assert!(found.folder.join("predictions/00006_parts.png").is_file());
    assert!(found.overlays.as_ref().unwrap().is_file());
    // Predictions are no labels: the data set is that without them.
    let plain = made(run, &of(7, Some("fish"), 5));
    let manifest = |made: &Generated| fs::read_to_string(made.manifest.as_ref().unwrap()).unwrap();
    assert_eq!(manifest(&found), manifest(&plain));
    let open = |made: &Generated| mtl_data::open(&made.folder, &OpenOptions::default()).unwrap();
    let (with, without) = (open(&found), open(&plain));
    assert_eq!((with.len(), &with.schema().tasks), (without.len(), &without.schema().tasks));
}

fn refuses(run: &Path) {
    let with = |sampling: Sampling| refused(run, &GenerateRequest { sampling, ..of(2, None, 0) });
    let usual = Sampling::default();
    for (error, words) in [
        (with(Sampling { truncation: 0.0, ..usual }), "truncation = 0.0: must be above 0"),
        (with(Sampling { guidance: Some(2.0), ..usual }), "guidance = 2.0: this generator"),
        (with(Sampling { steps: Some(4), ..usual }), "steps = 4: this generator"),
        (refused(run, &of(2, Some("fihs"), 0)), "did you mean `fish`"),
        (refused(run, &of(0, None, 0)), "count"),
        (
            refused(
                run,
                &GenerateRequest {
                    work: Work::Interpolate { ends: [Endpoint::Seed(1), Endpoint::Seed(2)], frames: 1 },
                    ..GenerateRequest::default()
                },
            ),
            "frames",
        ),
    ] {
        assert!(error.to_string().contains(words) && error.kind() == ErrorKind::Configuration, "{words}: {error}");
    }
    let text = run.join("no-image.png");
    fs::write(&text, "words").unwrap();
    let error = refused(run, &GenerateRequest { work: Work::Like(vec![text]), ..GenerateRequest::default() });
    assert!(error.to_string().contains("no-image.png") && error.kind() == ErrorKind::Data, "{error}");
}

/// Collects warnings.
#[derive(Default)]
struct Warnings(Vec<String>);

impl Observer for Warnings {
    fn event(&mut self, event: &Event) {
        if let Event::Warning { message } = event {
            self.0.push(message.clone());
        }
    }
}

#[test]
fn too_few_images_are_said_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("photos");
    let mut table = "image,kind,split\n".to_owned();
    for (class, colour, from) in [("cat", [40, 90, 120], 0), ("dog", [200, 60, 20], 20), ("fox", [90, 90, 90], 40)] {
        class_folder(&folder, class, colour, from, 20);
        if class != "fox" {
            let subset = |at| {
                if at % 5 == 0 {
                    "validation"
                } else if at % 5 == 1 {
                    "test"
                } else {
                    "train"
                }
            };
            table +=
                &(from..from + 20).map(|at| format!("{class}/{at}.png,{class},{}\n", subset(at))).collect::<String>();
        }
    }
    fs::write(folder.join("classes.csv"), "task,class\nkind,cat\nkind,dog\nkind,fox\n").unwrap();
    let run = |fox: &str, more: &[&str]| {
        fs::write(folder.join("manifest.csv"), format!("{table}{fox}")).unwrap();
        let path = format!("data.path=\"{}\"", folder.display());
        let settings =
            [&[&*path, "budget.steps=1", "stages.vae.steps=1", "stages.run=[\"joint\",\"vae\"]"][..], more].concat();
        let mut warnings = Warnings::default();
        let result = train(tiny(dir.path(), &settings), &mut [&mut warnings], &AtomicBool::new(false));
        (result.map(|record| record.run), warnings.0)
    };
    // One training image of a class: refused before there is a run folder; without a generator it is none of its business.
    let single = "fox/40.png,fox,train\nfox/41.png,fox,validation\n";
    let error = run(single, &[]).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    for words in ["`fox` has 1", "task `kind`", "at least 2", "stages.run=[\"joint\"]"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    assert!(!dir.path().join("photos-0001").exists());
    let (joint, warnings) = run(single, &["stages.run=[\"joint\"]"]);
    assert!(joint.is_ok() && !warnings.iter().any(|words| words.contains("generator")), "{warnings:?}");

    // A class without images is left out, and said.
    let (found, warnings) = run("", &[]);
    let found = found.unwrap();
    for words in
        ["24 training images for generator `vae`: below 100", "no training image of 1 of the 3 classes of task `kind`"]
    {
        assert!(warnings.iter().any(|warning| warning.contains(words)), "{words}: {warnings:?}");
    }
    let drawn = made(&found, &of(4, None, 0));
    let classes: Vec<_> = drawn.classes.iter().map(|class| class.as_deref().unwrap()).collect();
    assert_eq!(classes, ["cat", "dog", "cat", "dog"]);
    let error = refused(&found, &of(4, Some("fox"), 0)).to_string();
    assert!(error.contains("`fox` had no training image") && error.contains("it has: cat, dog"), "{error}");

    // Two are enough to train.
    assert!(run("fox/40.png,fox,train\nfox/41.png,fox,train\n", &[]).0.is_ok());
}

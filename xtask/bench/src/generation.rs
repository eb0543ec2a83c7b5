//! Measures of generated images on given features.

use mtl_metrics::generation::{Features, frechet_distance, kid_over_subsets, manifold};
use mtl_rng::Seed;
use serde_json::json;

use crate::workload::{Repeated, Workload};

/// Real and generated images each.
const IMAGES: usize = 1000;
/// Features per image: of a small classifier, and of Inception-v3.
const WIDTHS: [usize; 2] = [256, 2048];
/// Subsets of KID and images in each, the defaults of torch-fidelity.
const SUBSETS: (usize, usize) = (100, 1000);
/// Neighbours, the default of prdc.
const NEAREST: usize = 5;

/// Each measure at each width.
pub fn workloads() -> Vec<Workload> {
    let measures = ["frechet", "kid", "manifold"];
    WIDTHS.into_iter().flat_map(|width| measures.map(|measure| workload(measure, width))).collect()
}

fn workload(measure: &'static str, width: usize) -> Workload {
    let about = match measure {
        "frechet" => "Frechet distance".to_owned(),
        "kid" => format!("KID over {} subsets of at most {}", SUBSETS.0, SUBSETS.1),
        _ => "precision, recall, density, coverage".to_owned(),
    };
    Workload {
        name: format!("generation/{measure}-{width}"),
        about: format!("{about}, of given f32 features; batch: real images, and as many generated ones"),
        batches: vec![IMAGES],
        kernel: true,
        case: json!({ "measure": measure, "width": width, "subsets": SUBSETS.0, "size": SUBSETS.1, "nearest": NEAREST }),
        peers: vec!["fidelity"],
        flop: Box::new(|_| None),
        build: Box::new(move |images| {
            let sample = |name| Features::new(Seed::new(1).stream(name, &[]).normals(images * width), width);
            let (real, generated) = (sample("real")?, sample("generated")?);
            Ok(Box::new(Repeated(move || {
                let value = match measure {
                    "frechet" => frechet_distance(&real, &generated)?.value,
                    "kid" => kid_over_subsets(&real, &generated, SUBSETS.0, SUBSETS.1, Seed::new(0))?.value,
                    _ => manifold(&real, &generated, NEAREST)?.coverage.value,
                };
                anyhow::ensure!(value.is_finite(), "{value}");
                Ok(())
            })))
        }),
    }
}

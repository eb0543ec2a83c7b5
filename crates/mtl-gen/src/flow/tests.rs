//! Tests of the flow on a toy distribution, of guidance by hand, and of the two directions of the solver.

use mtl_rng::Seed;
use mtl_tensor::optim::{Config as OptimConfig, Optimizer, collect};
use mtl_tensor::{DType, Device, Params, backward, to_f64};

use super::network::Network;
use super::*;

fn tensor(values: Vec<f64>, shape: (usize, usize, usize, usize)) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn network(params: &Params, config: &Config, map: (usize, usize, usize), classes: usize) -> Network {
    Network::new(config, &params.scope("n"), map.0, (map.1, map.2), classes).unwrap()
}

/// Two Gaussians in the plane, of weights 0.3 and 0.7 and deviation 0.3.
fn two_gaussians(stream: &mut Stream, count: usize) -> Vec<f32> {
    (0..count)
        .flat_map(|_| {
            let centre = if stream.chance(0.3) { [-1.5, 0.5] } else { [0.7, -0.4] };
            centre.map(|c| (c + 0.3 * stream.normal()) as f32)
        })
        .collect()
}

#[test]
fn two_gaussians_keep_their_places_deviations_and_weights() {
    let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
    let config = Config { width: 32, blocks: 1, ..Config::default() };
    let network = network(&params, &config, (2, 1, 1), 0);
    let own = params.trainable();
    let mut adam = Optimizer::new(OptimConfig::Adam { beta1: 0.9, beta2: 0.99 }, &own, |_| 1.0).unwrap();
    let mut stream = Seed::new(2).stream("data", &[]);
    let (batch, steps) = (256, 400);
    let points = |values: Vec<f32>, count: usize| Tensor::from_vec(values, (count, 2, 1, 1), &Device::Cpu).unwrap();
    for step in 0..steps {
        let clean = points(two_gaussians(&mut stream, batch), batch);
        let noise = points(stream.normals(2 * batch), batch);
        let times: Vec<f64> = (0..batch).map(|_| 1.0 / (1.0 + (-stream.normal()).exp())).collect();
        let loss = network.loss(&clean, &noise, &times, &vec![-1; batch]).unwrap();
        let lr = 3e-3 * (1.0 - f64::from(step) / f64::from(steps)).max(0.02);
        adam.step(&collect(&backward(&loss).unwrap(), &own), lr, 1.0).unwrap();
    }
    let count = 4000;
    let noise = points(stream.normals(2 * count), count);
    let found = with_constant_weights(|| {
        solver::integrate(&noise, (0.0, 1.0), 20, |z, t| network.velocity(z, &vec![t; count], &vec![-1; count], true))
    });
    let found = to_f64(&found.unwrap()).unwrap();
    let (left, right): (Vec<&[f64]>, Vec<&[f64]>) = found.chunks(2).partition(|point| point[0] < -0.4);
    let weight = left.len() as f64 / count as f64;
    assert!((weight - 0.3).abs() < 0.05, "weight {weight}");
    for (points, centre) in [(left, [-1.5, 0.5]), (right, [0.7, -0.4])] {
        for axis in 0..2 {
            let mean = points.iter().map(|p| p[axis]).sum::<f64>() / points.len() as f64;
            let variance = points.iter().map(|p| (p[axis] - mean).powi(2)).sum::<f64>() / points.len() as f64;
            assert!((mean - centre[axis]).abs() < 0.1, "mean {mean} of {centre:?}");
            assert!((variance.sqrt() - 0.3).abs() < 0.08, "deviation {} at {centre:?}", variance.sqrt());
        }
    }
}

#[test]
fn the_loss_is_the_squared_error_of_the_velocity() {
    let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
    let network = network(&params, &Config { width: 16, blocks: 1, ..Config::default() }, (3, 2, 4), 2);
    let mut normals = Seed::new(4);
    let mut draw = |name: &str| {
        normals = normals.child(name, 0);
        tensor(normals.stream("", &[]).normals(48).into_iter().map(f64::from).collect(), (2, 3, 2, 4))
    };
    let (clean, noise, times, labels) = (draw("clean"), draw("noise"), [0.1, 0.97], [1, -1]);
    let loss = value(&network.loss(&clean, &noise, &times, &labels).unwrap()).unwrap();
    let (z, e) = (to_f64(&clean).unwrap(), to_f64(&noise).unwrap());
    let mixed = (0..48).map(|at| times[at / 24] * z[at] + (1.0 - times[at / 24]) * e[at]).collect();
    let velocity = to_f64(&network.velocity(&tensor(mixed, (2, 3, 2, 4)), &times, &labels, true).unwrap()).unwrap();
    let expected = (0..48).map(|at| (velocity[at] - (z[at] - e[at])).powi(2)).sum::<f64>() / 48.0;
    assert!((loss - expected).abs() < 1e-12, "{loss} instead of {expected}");
}

/// A flow in pixels, whose map needs no fit, with parameters away from their initial values.
fn pixels(params: &Params, size: (usize, usize)) -> Flow {
    let trunk = mtl_trunk::Config::default();
    let input = GeneratorInput { trunk: &trunk, taps: &[], size, channels: 1, classes: 3 };
    let config = Config { space: Space::Pixels, width: 16, blocks: 3, ..Config::default() };
    let flow = Flow::new(&config, &params.scope("flow"), &input).unwrap();
    let mut stream = Seed::new(6).stream("off", &[]);
    for var in params.trainable().values() {
        let off = Tensor::from_vec(stream.normals(var.elem_count()), var.shape(), &Device::Cpu).unwrap();
        let off = (off.to_dtype(var.dtype()).unwrap() * 0.05).unwrap();
        var.set(&(var.as_tensor().detach() + off).unwrap()).unwrap();
    }
    flow
}

#[test]
fn guidance_goes_from_no_class_over_the_class_beyond_it() {
    let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
    let flow = pixels(&params, (32, 32));
    let labels = [0, 2, -1];
    let values = Seed::new(3).stream("z", &[]).normals(3 * flow.latent());
    let z = Tensor::from_vec(values, (3, 16, 8, 8), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    let at = |labels: &[i32], guidance: f64| to_f64(&flow.guided(&z, 0.3, labels, guidance).unwrap()).unwrap();
    let (none, class) = (at(&[-1; 3], 1.0), at(&labels, 1.0));
    assert_eq!(at(&labels, 0.0), none);
    assert_ne!(none[..2048], class[..2048]);
    assert_eq!(none[2048..], class[2048..], "a missing label");
    for (guidance, found) in [(0.5, at(&labels, 0.5)), (1.5, at(&labels, 1.5))] {
        let expected = none.iter().zip(&class).map(|(none, class)| none + guidance * (class - none));
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{guidance}");
    }
}

#[test]
fn images_return_from_their_latents_and_gradients_reach_them() {
    // 64 pixels: maps of 16x16, which have two levels.
    for size in [(32, 32), (64, 64)] {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let flow = pixels(&params, size);
        let trunk = mtl_trunk::Config::default().build(&params.scope("trunk"), 1).unwrap();
        let values = Seed::new(2).stream("images", &[]).normals(2 * size.0 * size.1);
        let images = Tensor::from_vec(values, (2, 1, size.0, size.1), &Device::Cpu).unwrap();
        let images = (images.to_dtype(DType::F64).unwrap() * 0.2).unwrap().clamp(-0.9, 0.9).unwrap();
        let fine = Sampling { steps: Some(20), ..Sampling::default() };
        let z = flow.encode(&*trunk, &images, &[1, -1], &fine).unwrap().unwrap();
        assert_eq!(z.dims(), [2, size.0 * size.1]);
        let back = flow.decode(&z, &[1, -1], &fine).unwrap();
        let error =
            to_f64(&(back - &images).unwrap()).unwrap().into_iter().fold(0.0, |worst: f64, v| worst.max(v.abs()));
        assert!(error < 0.02, "{error}");

        let sampling = Sampling { steps: Some(2), ..Sampling::default() };
        let tracked = mtl_tensor::Var::from_tensor(&z).unwrap();
        let image = flow.decode(&tracked, &[1, -1], &sampling).unwrap();
        let store = backward(&image.sum_all().unwrap()).unwrap();
        let slope = to_f64(store.get(&tracked).unwrap()).unwrap()[7];
        let at = |h: f64| {
            let mut values = to_f64(&z).unwrap();
            values[7] += h;
            let z = Tensor::from_vec(values, z.shape(), &Device::Cpu).unwrap();
            to_f64(&flow.decode(&z, &[1, -1], &sampling).unwrap()).unwrap().iter().sum::<f64>()
        };
        let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((slope - difference).abs() < 1e-4 * slope.abs().max(1.0), "{slope} instead of {difference}");
        // Without a gradient to the latents, no graph of the solver's steps is kept.
        let map = ops::reshape(&z, (2, 16, size.0 / 4, size.1 / 4)).unwrap();
        assert!(!flow.solve(&map, (0.0, 1.0), &[1, -1], (1.5, 2)).unwrap().track_op());
    }
}

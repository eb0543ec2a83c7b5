use std::time::Instant;
use mtl_gen::{Setting, decoder};
use mtl_rng::Seed;
use mtl_tensor::{Ctx, DType, Device, Params, Tensor, Var, layers::*, ops};
fn time(name: &str, mmac: f64, mut f: impl FnMut()) {
    f();
    let mut best = f64::MAX;
    for _ in 0..8 { let t = Instant::now(); f(); best = best.min(t.elapsed().as_secs_f64()); }
    println!("{name:40} {:8.1} ms  {:6.1} GFLOP/s", best * 1e3, mmac * 2e-3 * 32.0 / best);
}
fn main() {
    let d = Device::Cpu;
    let noise = |s: &[usize]| { let n: usize = s.iter().product(); Tensor::from_vec(Seed::new(1).stream("a", &[]).normals(n), s.to_vec(), &d).unwrap() };
    let p = Params::new(Seed::new(1), DType::F32, &d);
    let x = noise(&[32, 3, 32, 32]);
    for (name, preset, m) in [("s", mtl_trunk::resnet::Preset::S, 27.0), ("xs", mtl_trunk::resnet::Preset::Xs, 7.6)] {
        let c = mtl_trunk::Config::Resnet(mtl_trunk::resnet::Config { preset, ..Default::default() });
        let t = c.build(&p.scope(&format!("trunk{name}")), 3).unwrap();
        time(&format!("trunk {name} fwd eval"), m, || { t.forward(&x, &Ctx::eval()).unwrap(); });
        let v = Var::from_tensor(&x).unwrap();
        time(&format!("trunk {name} fwd bwd eval"), 3.0 * m, || { t.forward(&v, &Ctx::eval()).unwrap().taps[2].sum_all().unwrap().backward().unwrap(); });
        time(&format!("trunk {name} fwd bwd train"), 3.0 * m, || { t.forward(&v, &Ctx::train(Seed::new(1), 0)).unwrap().taps[2].sum_all().unwrap().backward().unwrap(); });
    }
    let tc = mtl_trunk::Config::default();
    let s = Setting { trunk: &tc, taps: &[], size: (32, 32), channels: 3, classes: 6 };
    let g = decoder::Decoder::new(&decoder::Config::default(), &p.scope("g"), &s).unwrap();
    let z = noise(&[32, 64]);
    time("decoder fwd", 19.6, || { g.forward(&z, &[0; 32]).unwrap(); });
    time("decoder fwd bwd", 58.0, || { g.forward(&z, &[0; 32]).unwrap().sum_all().unwrap().backward().unwrap(); });
    for (a, b, hw) in [(128, 64, 8), (64, 48, 16), (48, 64, 16), (16, 3, 32), (16, 16, 32), (32, 32, 16), (64, 64, 8), (128, 128, 4)] {
        let c = Conv2d::new(&p.scope(&format!("c{a}{b}{hw}")), (a, b), 3, 1, true).unwrap();
        let x = Var::from_tensor(&noise(&[32, a, hw, hw])).unwrap();
        let m = (a * b * 9 * hw * hw) as f64 * 1e-6;
        time(&format!("conv {a} {b} {hw} fwd"), m, || { c.forward(&x).unwrap(); });
        time(&format!("conv {a} {b} {hw} fwd bwd"), 3.0 * m, || { c.forward(&x).unwrap().sum_all().unwrap().backward().unwrap(); });
    }
    let x = Var::from_tensor(&noise(&[32, 48, 16, 16])).unwrap();
    let g = noise(&[32 * 48]);
    time("group norm fwd bwd 48 16", 0.0, || { ops::group_norm(&x.reshape((1, 32*48, 16, 16)).unwrap(), &g, &g, 32*6, true).unwrap().sum_all().unwrap().backward().unwrap(); });
    let a = mtl_gen::augment::Config::default();
    let x = Var::from_tensor(&noise(&[64, 3, 32, 32])).unwrap();
    time("augment 64 fwd bwd", 0.0, || { a.apply(&x, &mut Seed::new(1).stream("a", &[])).unwrap().sum_all().unwrap().backward().unwrap(); });
    let x = noise(&[32, 3, 32, 32]);
    time("noise", 0.0, || { Ctx::eval().noise("a", (64,3,32,32), DType::F32, &d).unwrap(); });
    let _ = x;
}

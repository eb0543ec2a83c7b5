//! Properties of the rows of epochs, over many sizes, batches and seeds.

use mtl_rng::Seed;

use super::walk::quotas;
use super::*;

const STRATEGIES: [Sampling; 6] = [
    Sampling::Proportional {},
    Sampling::Temperature { t: 1.0 },
    Sampling::Temperature { t: 2.0 },
    Sampling::Temperature { t: 100.0 },
    Sampling::Uniform {},
    Sampling::RoundRobin {},
];

/// Rows of sources of these sizes, shuffled, as a side of the split might hold them.
fn sources(sizes: &[usize], seed: u64) -> Vec<usize> {
    let mut of: Vec<usize> = sizes.iter().enumerate().flat_map(|(at, &size)| vec![at; size]).collect();
    Seed::new(seed).stream("sources", &[]).shuffle(&mut of);
    of
}

fn counts(draws: &[SampledRow], of: &[usize], sources: usize) -> Vec<usize> {
    let mut counts = vec![0; sources];
    draws.iter().for_each(|draw| counts[of[draw.position]] += 1);
    counts
}

/// Sizes, batch and rows of an epoch's whole batches: cases of all kinds.
fn cases() -> impl Iterator<Item = (u64, Vec<usize>, usize, usize)> {
    (0..60_u64).map(|case| {
        let mut stream = Seed::new(case).stream("case", &[]);
        let sizes: Vec<usize> = (0..1 + stream.below(4)).map(|_| 1 + stream.below(40)).collect();
        let rows: usize = sizes.iter().sum();
        let batch = 4 + stream.below(12);
        (case, sizes, batch, if rows < batch { rows } else { rows / batch * batch })
    })
}

#[test]
fn a_row_is_seen_as_often_as_any_other_of_its_source_and_never_twice_in_one_view() {
    for (case, sizes, batch, slots) in cases() {
        for mixing in STRATEGIES {
            let of = sources(&sizes, case);
            let mixer = Mixer::new(mixing, &of, batch, slots).unwrap();
            let mut seen = vec![0_usize; of.len()];
            let mut views = std::collections::HashSet::new();
            for epoch in 0..7 {
                for draw in mixer.epoch(Seed::new(case), epoch) {
                    seen[draw.position] += 1;
                    assert!(views.insert((draw.position, draw.pass)), "{mixing:?} {sizes:?}: {draw:?} twice");
                }
                for source in 0..sizes.len() {
                    let own = || of.iter().zip(&seen).filter(|(of, _)| **of == source).map(|(_, seen)| *seen);
                    let (least, most) = (own().min().unwrap(), own().max().unwrap());
                    assert!(most - least <= 1, "{mixing:?} {sizes:?} source {source}: {least} to {most}");
                    assert!(
                        most > 0 || mixing == Sampling::RoundRobin {},
                        "{mixing:?} {sizes:?}: {source} is never seen"
                    );
                }
            }
        }
    }
}

#[test]
fn shares_of_an_epoch_are_exact() {
    let sizes = [400, 100, 4];
    let of = sources(&sizes, 0);
    let count = |mixing: Sampling, epoch: u64| {
        let mixer = Mixer::new(mixing, &of, 16, 496).unwrap();
        counts(&mixer.epoch(Seed::new(1), epoch), &of, 3)
    };
    for epoch in [0, 1, 1000] {
        assert_eq!(count(Sampling::Proportional {}, epoch), sizes);
        // 496 * 400 / 504 = 393.65, 98.41, 3.94
        assert_eq!(count(Sampling::Temperature { t: 1.0 }, epoch), [394, 98, 4]);
        // Roots are 20, 10 and 2: 310, 155, 31.
        assert_eq!(count(Sampling::Temperature { t: 2.0 }, epoch), [310, 155, 31]);
        assert_eq!(count(Sampling::Temperature { t: 1e9 }, epoch), [166, 165, 165]);
        assert_eq!(count(Sampling::Uniform {}, epoch), [166, 165, 165]);
    }
    // 31 batches per epoch, three sources in turn: over three epochs each has had 31.
    let mut all = [0; 3];
    (0..3).for_each(|epoch| (0..3).for_each(|at| all[at] += count(Sampling::RoundRobin {}, epoch)[at]));
    assert_eq!(all, [31 * 16; 3]);
    let near = |found: Vec<f64>, expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(near(Sampling::Temperature { t: 2.0 }.shares(&sizes), [0.625, 0.3125, 0.0625]));
    assert!(near(Sampling::Uniform {}.shares(&[5, 0, 9]), [0.5, 0.0, 0.5]));
    assert!(near(Sampling::Proportional {}.shares(&[0, 0, 0]), [0.0; 3]));
}

#[test]
fn quotas_are_the_shares_made_whole() {
    assert_eq!(quotas(&[0.5, 0.3, 0.2], 10), [5, 3, 2]);
    assert_eq!(quotas(&[0.25; 4], 6), [2, 2, 1, 1]);
    assert_eq!(quotas(&[0.98, 0.01, 0.01], 10), [8, 1, 1]); // at least one each, taken from the largest
    for (case, sizes, _, slots) in cases().filter(|(_, sizes, _, slots)| *slots >= sizes.len()) {
        for t in [1.0, 1.5, 3.0] {
            let shares = Sampling::Temperature { t }.shares(&sizes);
            let whole = quotas(&shares, slots);
            assert_eq!(whole.iter().sum::<usize>(), slots, "case {case}");
            for (share, whole) in shares.iter().zip(whole) {
                let exact = share * slots as f64;
                assert!(whole == 1 || exact - whole as f64 <= 1.0 && exact > whole as f64 - 1.0, "{exact} {whole}");
            }
        }
    }
}

#[test]
fn batches_in_turn_are_pure() {
    for (case, sizes, batch, slots) in cases().filter(|(_, sizes, ..)| sizes.len() > 1) {
        let of = sources(&sizes, case);
        let mixer = Mixer::new(Sampling::RoundRobin {}, &of, batch, slots).unwrap();
        let mut turn = 0;
        for epoch in 0..5 {
            let draws = mixer.epoch(Seed::new(case), epoch);
            assert_eq!(draws.len(), slots);
            for batch in draws.chunks(batch.min(slots)) {
                assert!(batch.iter().all(|draw| of[draw.position] == turn % sizes.len()), "case {case}, batch {turn}");
                turn += 1;
            }
        }
    }
}

#[test]
fn one_source_is_the_plain_shuffle() {
    for mixing in STRATEGIES {
        let mixer = Mixer::new(mixing, &[3; 30], 4, 28).unwrap();
        let plain = Seed::new(9).stream("shuffle", &[5]).permutation(30);
        let expected: Vec<SampledRow> = plain.into_iter().map(|position| SampledRow { position, pass: 5 }).collect();
        assert_eq!(mixer.epoch(Seed::new(9), 5), expected, "{mixing:?}");
    }
    // Several are shuffled as one where every row has its turn.
    let of = sources(&[20, 10], 0);
    let mixer = Mixer::new(Sampling::default(), &of, 4, 28).unwrap();
    let positions: Vec<usize> = mixer.epoch(Seed::new(9), 5).iter().map(|draw| draw.position).collect();
    assert_eq!(positions, Seed::new(9).stream("shuffle", &[5]).permutation(30));
}

#[test]
fn an_epoch_is_a_function_of_seed_and_number() {
    let of = sources(&[30, 11, 5], 0);
    for mixing in STRATEGIES {
        let mixer = |mixing| Mixer::new(mixing, &of, 8, 40).unwrap();
        let (one, other) = (mixer(mixing), mixer(mixing));
        let (first, fifth) = (one.epoch(Seed::new(1), 0), one.epoch(Seed::new(1), 5));
        // In another order of calls, by another mixer, at a very large epoch.
        assert_eq!(fifth, other.epoch(Seed::new(1), 5), "{mixing:?}");
        assert_eq!(first, other.epoch(Seed::new(1), 0), "{mixing:?}");
        assert_ne!(first, fifth, "{mixing:?}");
        assert_ne!(first, one.epoch(Seed::new(2), 0), "{mixing:?}");
        assert_eq!(one.epoch(Seed::new(1), u64::MAX).len(), first.len(), "{mixing:?}");
    }
}

#[test]
fn settings_are_read_strictly_and_checked() {
    let read = |text: &str| serde_json::from_str::<Sampling>(text);
    for entry in SAMPLERS {
        let config = (entry.item)();
        assert_eq!((config.name(), config.validate()), (entry.name, Ok(())));
        assert_eq!(read(&format!("{{\"{}\":{{}}}}", entry.name)).unwrap(), config);
        assert_eq!(read(&serde_json::to_string(&config).unwrap()).unwrap(), config);
        assert!(read(&format!("{{\"{}\":{{\"x\":1}}}}", entry.name)).is_err(), "{}", entry.name);
    }
    for t in [0.99, 0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = Sampling::Temperature { t }.validate().unwrap_err();
        assert!(error.to_string().starts_with(&format!("temperature t = {t}")), "{error}");
        assert!(Mixer::new(Sampling::Temperature { t }, &[0, 1], 2, 2).is_err());
    }
    let error = Mixer::new(Sampling::Uniform {}, &[0, 1, 2], 2, 2).err().unwrap();
    assert_eq!(error, Error::TooFewRows { slots: 2, sources: 3 });
    assert!(Mixer::new(Sampling::RoundRobin {}, &[0, 1, 2], 2, 2).is_ok());
}

//! A balancer from another crate, in one file: settings, rule, registration by name, one call and one training step.
//!
//! `cargo run -p mtl-balance --example own_method`

use mtl_balance::{
    Aggregator, BALANCERS, Balancer, Config, Error, GradientsWrt, Gram, GramRule, Method, Rows, Ruled, Signals,
};
use mtl_registry::{Entry, List};
use mtl_rng::{Seed, Stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Settings, as in `[balancer.power]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Power {
    /// Exponent. 0 gives the plain sum, 1 unit gradients. Default: 0.5.
    pub exponent: f64,
}

impl Default for Power {
    fn default() -> Self {
        Self { exponent: 0.5 }
    }
}

impl Method for Power {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::gram(tasks, GradientsWrt::SharedParameters, PowerRule { exponent: self.exponent }))
    }
}

/// The rule: `w_i = |g_i|^-exponent`. Checks, missing labels and zero gradients are handled by [`Ruled`].
struct PowerRule {
    exponent: f64,
}

impl GramRule for PowerRule {
    fn name(&self) -> &'static str {
        "power"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        (0..rows.gram.size()).map(|i| rows.gram.at(i, i).sqrt().powf(-self.exponent)).collect()
    }
}

/// Makes a method of its settings.
type Reader = Box<dyn Fn(Value) -> Result<Box<dyn Method>, serde_json::Error>>;

fn read<M: Method + DeserializeOwned + 'static>(settings: Value) -> Result<Box<dyn Method>, serde_json::Error> {
    Ok(Box::new(serde_json::from_value::<M>(settings)?))
}

/// The methods of mtl-balance, and this one.
pub fn methods() -> Result<List<Reader>, mtl_registry::NameTaken> {
    let built_in = BALANCERS.iter().map(|entry| {
        let item: Reader = Box::new(|settings| read::<Config>(json!({ entry.name: settings })));
        Entry { name: entry.name, summary: entry.summary, item }
    });
    let mut list = List::new("balancer", built_in)?;
    let summary = "gradients divided by a power of their length";
    list.add(Entry { name: "power", summary, item: Box::new(read::<Power>) })?;
    Ok(list)
}

/// Weights of the method called `name` for two orthogonal gradients of length 4 and 1.
pub fn weights(name: &str, settings: Value) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let method = (methods()?.find(name)?.item)(settings)?;
    let update = Aggregator::new(&*method).update(&[[4.0, 0.0], [0.0, 1.0]])?;
    // In a training run: built once, then one call per step.
    let tasks = ["class".to_owned(), "depth".to_owned()];
    let gram = Gram::new(2, vec![16.0, 0.0, 0.0, 1.0])?;
    let signals = Signals::new(&tasks, &[0, 1], &[0.7, 0.3]).with_gram(&gram).at(0, 0);
    let stepped = method.build(&tasks)?.weights(&signals, &mut Seed::new(0).stream("balance", &[0]))?;
    assert_eq!(stepped, update.weights);
    Ok(update.weights)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(weights("power", json!({}))?, [0.5, 1.0]);
    assert_eq!(weights("power", json!({ "exponent": 1.0 }))?, [0.25, 1.0]);
    assert_eq!(weights("pcgrad", json!({}))?, [1.0, 1.0]);
    Ok(())
}

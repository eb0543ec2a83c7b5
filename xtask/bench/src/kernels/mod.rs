//! Single operations: the shapes the networks have, forward and each gradient.
//!
//! A gradient is timed as a backward pass from ones through the operation alone, the forward pass done once before: it
//! includes the tape's bookkeeping of the result. Peers get the ones ready made, which favours them.

pub mod activation;
pub mod conv;
pub mod linear;
pub mod loss;
pub mod norm;
pub mod optimizer;
pub mod pool;
pub mod resize;

use mtl_tensor::{Result, Tensor, Var, backward_retain};
use serde_json::{Value, json};

use crate::inputs;
use crate::workload::{Job, Repeated, Workload};

/// The timed part of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its value.
    Forward,
    /// The gradient of its first operand.
    Input,
    /// The gradient of its second operand.
    Weight,
    /// The gradients of all operands.
    All,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Input => "input",
            Self::Weight => "weight",
            Self::All => "all",
        }
    }
}

/// An operation on operands of given shapes; the first dimension of the first operand is the batch.
pub struct Operation {
    /// `conv`, `pool`, ...: the first part of the name.
    pub family: &'static str,
    /// The second part.
    pub shape: String,
    /// `op` and its numbers; `part` and `shapes` are added.
    pub case: Value,
    /// Shapes of the operands for one row of a batch.
    pub operands: Vec<Vec<usize>>,
    /// Rows per step.
    pub batch: usize,
    /// Floating-point operations (additions and multiplications) per row, where counted.
    pub flop: Option<f64>,
    /// The operation.
    pub run: fn(&Value, &[Tensor]) -> Result<Tensor>,
}

impl Operation {
    /// One workload per part.
    pub fn workloads(self, parts: &[Part]) -> Vec<Workload> {
        parts.iter().map(|&part| self.workload(part)).collect()
    }

    fn workload(&self, part: Part) -> Workload {
        let mut case = self.case.clone();
        case["part"] = json!(part.name());
        case["shapes"] = json!(self.operands);
        let (flop, run, operands, numbers) = (self.flop, self.run, self.operands.clone(), case.clone());
        Workload {
            name: format!("{}/{}/{}", self.family, self.shape, part.name()),
            about: format!("{} of {} {}", part.name(), self.family, self.shape),
            batches: vec![self.batch],
            kernel: true,
            case,
            peers: vec!["torch"],
            flop: Box::new(move |batch| flop.map(|flop| flop * batch as f64)),
            build: Box::new(move |batch| job(part, run, &numbers, &operands, batch)),
        }
    }
}

fn job(
    part: Part,
    run: fn(&Value, &[Tensor]) -> Result<Tensor>,
    case: &Value,
    operands: &[Vec<usize>],
    batch: usize,
) -> anyhow::Result<Box<dyn Job>> {
    let mut tensors = Vec::new();
    for (at, shape) in operands.iter().enumerate() {
        let mut shape = shape.clone();
        shape[0] *= if at == 0 || case["rows"].as_bool() == Some(true) { batch } else { 1 };
        let wanted = match part {
            Part::Forward => false,
            Part::Input => at == 0,
            Part::Weight => at == 1,
            Part::All => true,
        };
        let values = inputs::normals(&format!("operand {at}"), &shape)?;
        tensors.push(if wanted { Var::from_tensor(&values)?.as_tensor().clone() } else { values });
    }
    let case = case.clone();
    if part == Part::Forward {
        return Ok(Box::new(Repeated(move || {
            run(&case, &tensors)?;
            Ok(())
        })));
    }
    let y = run(&case, &tensors)?;
    Ok(Box::new(Repeated(move || {
        backward_retain(&y)?;
        Ok(())
    })))
}

/// A number of a case; 0 if absent.
fn number(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap_or(0) as usize
}

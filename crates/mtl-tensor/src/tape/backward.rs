//! The backward pass: from a value to the gradients of its variables.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::{Result, Tensor, TensorId};

use super::{Input, Node};
use crate::ops;

/// Gradients of a value: one per variable that it depends on.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// The gradient of a variable, if the value depends on it.
    pub fn get(&self, variable: &Tensor) -> Option<&Tensor> {
        self.0.get(&variable.id())
    }

    fn add(&mut self, id: TensorId, grad: Tensor) -> Result<()> {
        let sum = match self.0.remove(&id) {
            Some(sum) => ops::add(&sum, &grad)?,
            None => grad,
        };
        self.0.insert(id, sum);
        Ok(())
    }
}

/// The gradients of `value` (of its sum, if it holds several numbers), in place of candle's `backward`, which ends at our ops
/// with an error.
///
/// Frees the graph: the tensors that an op has kept are dropped as soon as its gradients are there, so that these find room in
/// their memory. Tensors that are held elsewhere keep their numbers. [`backward_retain`] leaves the graph for another pass.
///
/// Gradients are constants: a loss may contain them, but there are no gradients of gradients. A deep graph needs no deep stack,
/// except where thousands of candle's own ops follow one another with none of ours between them.
///
/// # Errors
/// A value that depends on no variable (a gradient of a gradient, for example); a part of the graph that was freed by a pass before; a
/// variable that was written to after an op on the CPU had used it, as far as some of its numbers show; any error of an op's
/// gradient.
pub fn backward(value: &Tensor) -> Result<Gradients> {
    let mut pass = Pass { last: true, ..Pass::default() };
    pass.begin(value)?;
    pass.run()
}

/// [`backward`] that keeps the graph for another pass, as PyTorch's `retain_graph=True`.
///
/// # Errors
/// Those of [`backward`].
pub fn backward_retain(value: &Tensor) -> Result<Gradients> {
    let mut pass = Pass::default();
    pass.begin(value)?;
    pass.run()
}

/// The vector-Jacobian product: the gradients of a value whose own gradients at `tensors` are `grads`, a backward pass that begins in
/// the middle. Frees the graph, as [`backward`] does.
///
/// # Errors
/// Another number of gradients, shapes that differ, those of [`backward`].
pub fn vjp(tensors: &[Tensor], grads: &[Tensor]) -> Result<Gradients> {
    Pass { last: true, ..Pass::default() }.from(tensors, grads)
}

/// [`vjp`] that keeps the graph for another pass.
///
/// # Errors
/// Those of [`vjp`].
pub fn vjp_retain(tensors: &[Tensor], grads: &[Tensor]) -> Result<Gradients> {
    Pass::default().from(tensors, grads)
}

/// Gradients that candle's backward pass has brought to results of ours.
type Arrived = Vec<(Arc<Node>, Tensor)>;

thread_local! {
    /// None outside of a pass of ours: candle's own pass would end at our ops, with no gradient or a part of it.
    static ARRIVED: RefCell<Option<Arrived>> = const { RefCell::new(None) };
}

/// Called by candle's backward pass at a result of ours.
pub(super) fn arrived(op: &str, node: &Arc<Node>, grad: &Tensor) -> Result<()> {
    ARRIVED.with_borrow_mut(|arrived| match arrived {
        Some(arrived) => {
            arrived.push((Arc::clone(node), grad.clone()));
            Ok(())
        }
        None => candle_core::bail!(
            "candle's `Tensor::backward` (and `backward_step` of candle-nn) cannot go through `{op}` of mtl-tensor and would \
             lose gradients; use `mtl_tensor::backward(&loss)` and an optimizer of `mtl_tensor::optim`"
        ),
    })
}

/// Runs candle's pass as a part of ours and returns the gradients. An outer pass of this thread, if any, continues afterwards: a thread
/// that waits inside of candle may begin another.
fn collecting<R>(pass: impl FnOnce() -> Result<R>) -> Result<(R, Arrived)> {
    struct Outer(Option<Arrived>);
    impl Drop for Outer {
        fn drop(&mut self) {
            ARRIVED.set(self.0.take());
        }
    }
    let _outer = Outer(ARRIVED.replace(Some(Vec::new())));
    let result = pass()?;
    Ok((result, ARRIVED.take().unwrap_or_default()))
}

#[derive(Default)]
struct Pass {
    /// Whether ops free their saved tensors.
    last: bool,
    found: Gradients,
    /// Nodes that have a gradient, by order: when one is the latest left, nothing can add to it any more.
    pending: BTreeMap<u64, (Arc<Node>, Tensor)>,
}

impl Pass {
    fn begin(&mut self, value: &Tensor) -> Result<()> {
        if !value.track_op() {
            candle_core::bail!(
                "backward: the value depends on no variable; gradients are constants, so a gradient of a gradient cannot be computed"
            );
        }
        self.through_candle(value)
    }

    fn from(mut self, tensors: &[Tensor], grads: &[Tensor]) -> Result<Gradients> {
        if tensors.len() != grads.len() {
            candle_core::bail!("vjp: {} gradients of {} tensors", grads.len(), tensors.len());
        }
        for (tensor, grad) in tensors.iter().zip(grads) {
            if tensor.shape() != grad.shape() {
                candle_core::bail!("vjp: a gradient {:?} of {:?}", grad.shape(), tensor.shape());
            }
            self.arrive(&Input::of(tensor), grad.detach())?;
        }
        self.run()
    }

    fn run(mut self) -> Result<Gradients> {
        while let Some((_, (node, grad))) = self.pending.pop_last() {
            let grads = node.gradients(&grad, self.last)?;
            drop(grad);
            for (input, grad) in node.inputs().iter().zip(grads) {
                if let Some(grad) = grad {
                    self.arrive(input, grad)?;
                }
            }
        }
        Ok(self.found)
    }

    fn arrive(&mut self, at: &Input, grad: Tensor) -> Result<()> {
        match at {
            Input::Constant => Ok(()),
            Input::Variable(id) => self.found.add(*id, grad),
            Input::Node(node) => self.arrive_at(Arc::clone(node), grad),
            Input::Foreign(tensor) => self.through_candle(&(tensor * grad)?.sum_all()?),
        }
    }

    fn arrive_at(&mut self, node: Arc<Node>, grad: Tensor) -> Result<()> {
        let sum = match self.pending.remove(&node.order) {
            Some((_, sum)) => ops::add(&sum, &grad)?,
            None => grad,
        };
        self.pending.insert(node.order, (node, sum));
        Ok(())
    }

    fn through_candle(&mut self, value: &Tensor) -> Result<()> {
        #[allow(clippy::disallowed_methods)] // The one place that candle's own pass is right: up to our nodes.
        let (store, arrived) = collecting(|| value.backward())?;
        for (node, grad) in arrived {
            self.arrive_at(node, grad)?;
        }
        // candle leaves the gradients of constants too.
        for variable in value.sorted_nodes().into_iter().filter(|node| node.is_variable()) {
            if let Some(grad) = store.get(variable) {
                self.found.add(variable.id(), grad.clone())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::to_f64;

    fn var(values: &[f64]) -> Var {
        Var::from_tensor(&Tensor::new(values, &Device::Cpu).unwrap()).unwrap()
    }

    /// Ours, candle's, ours again, the same tensor used on both sides and twice: d/dx of 2 tanh(x)^2 + relu(tanh(x)) + x.
    #[test]
    fn candle_between_ours_and_several_ways_to_one_input() {
        let x = var(&[0.3, -0.7]);
        let t = ops::tanh(&x).unwrap();
        let squares = t.sqr().unwrap();
        let twice = ops::add(&squares, &squares).unwrap();
        let sum = ops::add(&twice, &ops::relu(&t).unwrap()).unwrap();
        let value = (sum + x.as_tensor()).unwrap().sum_all().unwrap();
        let expected: Vec<f64> = [0.3f64, -0.7]
            .iter()
            .map(|x| {
                let t = x.tanh();
                (4.0 * t + f64::from(t > 0.0)) * (1.0 - t * t) + 1.0
            })
            .collect();
        for _ in 0..2 {
            let found = to_f64(backward_retain(&value).unwrap().get(&x).unwrap()).unwrap();
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} and {expected:?}");
        }
    }

    #[test]
    fn a_pass_from_the_middle_is_that_of_the_weighted_sum() {
        let x = var(&[0.5, 2.0]);
        let y = ops::tanh(&x).unwrap();
        let weights = Tensor::new(&[3.0f64, -1.0], &Device::Cpu).unwrap();
        let sum = (&y * &weights).unwrap().sum_all().unwrap();
        let of = |found: Gradients| to_f64(found.get(&x).unwrap()).unwrap();
        let middle = vjp_retain(std::slice::from_ref(&y), std::slice::from_ref(&weights)).unwrap();
        let expected = of(backward_retain(&sum).unwrap());
        assert_eq!(of(middle), expected);
        assert!(vjp_retain(std::slice::from_ref(&y), &[sum]).is_err(), "another shape");
        assert!(vjp_retain(std::slice::from_ref(&y), &[]).is_err(), "one too few");
        let last = vjp(std::slice::from_ref(&y), std::slice::from_ref(&weights)).unwrap();
        assert_eq!(of(last), expected);
        assert!(vjp_retain(&[y], &[weights]).unwrap_err().to_string().contains("second backward pass"));
    }

    /// A result that is held keeps its values; saved tensors shared by two values are freed by the first last pass.
    #[test]
    fn last_passes_over_a_shared_part_and_a_held_result() {
        let x = var(&[0.5, 2.0]);
        let shared = ops::tanh(&x).unwrap();
        let one = (ops::relu(&shared).unwrap() * 2.0).unwrap().sum_all().unwrap();
        let two = shared.sqr().unwrap().sum_all().unwrap();
        let before = to_f64(&shared).unwrap();
        assert!(backward(&one).unwrap().get(&x).is_some());
        assert_eq!(to_f64(&shared).unwrap(), before);
        assert!(backward(&two).unwrap_err().to_string().contains("second backward pass"));
    }

    #[test]
    fn the_last_pass_gives_back_what_ops_kept() {
        let x = var(&[0.5, 2.0]);
        let y = ops::tanh(&x).unwrap();
        let value = || (&y * 3.0).unwrap().sum_all().unwrap();
        let node = Node::of(&y).unwrap();
        let kept = || node.keeps();
        let first = backward_retain(&value()).unwrap();
        assert!(kept());
        let last = backward(&value()).unwrap();
        assert!(!kept());
        assert_eq!(to_f64(first.get(&x).unwrap()).unwrap(), to_f64(last.get(&x).unwrap()).unwrap());
        assert!(backward(&value()).unwrap_err().to_string().contains("second backward pass"));
    }
}

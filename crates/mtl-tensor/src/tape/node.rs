//! Recorded ops and the graph they form.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use candle_core::{Result, Tensor, TensorId};

/// Gradients of the inputs from that of the result; none for an input that needs no gradient.
pub(super) type Backward = Arc<dyn Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// One op that was recorded. Held by its result, through candle's graph, and by the ops it is an input of. Neither the values
/// of its inputs nor its result are kept, unless the op's backward pass keeps them: in a decoder that is a quarter of all
/// memory.
pub(super) struct Node {
    /// Later ops have larger numbers, so dependents come after a node.
    pub(super) order: u64,
    inputs: Vec<Input>,
    result: OnceLock<TensorId>,
    /// None after the last pass, which frees the tensors it kept.
    backward: Mutex<Option<Backward>>,
}

/// Where the gradient of an op's input goes.
pub(super) enum Input {
    Constant,
    Variable(TensorId),
    /// A result of ours.
    Node(Arc<Node>),
    /// A result of candle's ops, whose gradients it computes from the tensor.
    Foreign(Tensor),
}

impl Input {
    pub(super) fn of(tensor: &Tensor) -> Self {
        if !tensor.track_op() {
            Self::Constant
        } else if let Some(node) = Node::of(tensor) {
            Self::Node(node)
        } else if tensor.is_variable() {
            Self::Variable(tensor.id())
        } else {
            Self::Foreign(tensor.clone())
        }
    }
}

/// The nodes of results that are alive.
static NODES: LazyLock<Mutex<HashMap<TensorId, Weak<Node>>>> = LazyLock::new(Mutex::default);

impl Node {
    pub(super) fn new(order: u64, inputs: Vec<Input>, backward: Backward) -> Self {
        Self { order, inputs, result: OnceLock::new(), backward: Mutex::new(Some(backward)) }
    }

    /// The node of a result, if it is one of ours.
    pub(super) fn of(tensor: &Tensor) -> Option<Arc<Self>> {
        NODES.lock().unwrap_or_else(PoisonError::into_inner).get(&tensor.id()).and_then(Weak::upgrade)
    }

    /// From here on the node is found by its result.
    pub(super) fn is_of(self: &Arc<Self>, result: &Tensor) {
        NODES.lock().unwrap_or_else(PoisonError::into_inner).insert(result.id(), Arc::downgrade(self));
        let _ = self.result.set(result.id());
    }

    pub(super) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Gradients of the inputs. `last`: the tensors that the op kept are freed.
    pub(super) fn gradients(&self, grad: &Tensor, last: bool) -> Result<Vec<Option<Tensor>>> {
        let mut kept = self.backward.lock().unwrap_or_else(PoisonError::into_inner);
        let backward = if last { kept.take() } else { kept.clone() };
        drop(kept); // A gradient waits for other threads.
        match backward {
            Some(backward) => backward(grad),
            None => candle_core::bail!(
                "a second backward pass through a graph that the first has freed; make the first with `backward_retain` or `vjp_retain`"
            ),
        }
    }

    #[cfg(test)]
    pub(super) fn keeps(&self) -> bool {
        self.backward.lock().unwrap().is_some()
    }
}

/// Inputs and closure of a dropped node.
type Remains = (Vec<Input>, Option<Backward>);

thread_local! {
    /// Remains of nodes that are being dropped on this thread; none while no node is.
    static REMAINS: RefCell<Option<Vec<Remains>>> = const { RefCell::new(None) };
}

/// A node holds those before it, so that dropping one by recursion would overflow the stack on a graph of some ten thousand ops
/// in a row. The first drop on a thread therefore frees the remains of all drops below it one after the other.
impl Drop for Node {
    fn drop(&mut self) {
        if let Some(id) = self.result.get() {
            NODES.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
        let backward = self.backward.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let remains = (std::mem::take(&mut self.inputs), backward);
        // Without the variable (the thread is ending), by recursion after all.
        let _ = REMAINS.try_with(|left| {
            let mut left = left.borrow_mut();
            match &mut *left {
                Some(left) => {
                    left.push(remains);
                    return;
                }
                None => *left = Some(vec![remains]),
            }
            drop(left);
            free_remains();
        });
    }
}

fn free_remains() {
    /// A panic inside a drop must not leave the list open.
    struct Close;
    impl Drop for Close {
        fn drop(&mut self) {
            REMAINS.take();
        }
    }
    let _close = Close;
    while let Some(remains) = REMAINS.with_borrow_mut(|left| left.as_mut().and_then(Vec::pop)) {
        drop(remains);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn nothing_is_recorded_for_constants_and_nothing_stays_of_a_graph() {
        let constant = Tensor::new(&[1.0f64, -1.0], &Device::Cpu).unwrap();
        assert!(!crate::ops::relu(&constant).unwrap().track_op());
        let x = Var::new(&[1.0f64, -1.0], &Device::Cpu).unwrap();
        let y = crate::ops::relu(&x).unwrap();
        let id = y.id();
        let known = || NODES.lock().unwrap().contains_key(&id);
        assert!(known());
        let z = crate::ops::tanh(&y).unwrap();
        drop(y);
        assert!(known(), "z still needs it");
        drop(z);
        assert!(!known());
    }
}

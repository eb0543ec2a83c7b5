//! The tape: what was computed from what, and the backward pass over it.
//!
//! An op is two plain functions over slices: the forward one runs first, and [`record`] puts its result into
//! the graph together with the backward closure, which may own whatever the forward pass saved (an arg-max,
//! batch statistics). [`backward`] goes back over these nodes, latest first.
//!
//! candle's own ops may stand between ours. Each result of ours is, to candle, made of one hidden variable, so candle's backward
//! pass ends there and hands us the gradient it has found. What this is for: candle's tape makes zeros for every gradient,
//! adds to them into new memory, and does so in threads of its own that wait by spinning beside ours, which was a third of
//! a training step.

mod backward;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, TensorId, Var};

pub use backward::{Gradients, backward, backward_from, backward_from_once, backward_once};

use crate::Real;
use crate::real::tensor;

thread_local! {
    static CONSTANT_WEIGHTS: Cell<bool> = const { Cell::new(false) };
    static FORCE_COMPOSED: Cell<bool> = const { Cell::new(false) };
    /// Gradients that candle's backward pass has brought to results of ours.
    static ARRIVED: RefCell<Vec<(Arc<Node>, Tensor)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with the weights of convolutions, linear maps and normalisations as constants: gradients flow through a network that is
/// not being trained, and those of its weights, a third of its backward pass, are not computed.
pub fn with_constant_weights<R>(body: impl FnOnce() -> R) -> R {
    let before = CONSTANT_WEIGHTS.replace(true);
    let result = body();
    CONSTANT_WEIGHTS.set(before);
    result
}

/// Whether the gradient of a weight will be asked for. Only parameters themselves can be constants here: scales and shifts of
/// conditional norms are computed, and what they are computed from has a gradient (see [`weight`]).
pub(crate) fn is_learnt(weight: &Tensor) -> bool {
    weight.track_op() && !(CONSTANT_WEIGHTS.get() && weight.is_variable())
}

/// A weight that something is computed from before it meets the data: cut off where weights are constants.
pub(crate) fn weight(weight: &Tensor) -> Tensor {
    if CONSTANT_WEIGHTS.get() { weight.detach() } else { weight.clone() }
}

/// True where an op must be made of candle's own ops: on accelerators, and where a test asks for it.
pub(crate) fn composed(x: &Tensor) -> bool {
    !x.device().is_cpu() || FORCE_COMPOSED.get()
}

/// Runs `body` with the accelerators' code on this thread, so that it can be checked on a machine without one.
pub(crate) fn force_composed<R>(body: impl FnOnce() -> R) -> R {
    let before = FORCE_COMPOSED.replace(true);
    let result = body();
    FORCE_COMPOSED.set(before);
    result
}

/// A finished forward value on its way into the graph.
pub(crate) struct Value {
    pub(crate) storage: CpuStorage,
    pub(crate) shape: Shape,
}

impl Value {
    pub(crate) fn new<T: crate::Real>(data: Vec<T>, shape: impl Into<Shape>) -> Self {
        Self { storage: T::into_storage(data), shape: shape.into() }
    }
}

/// Gradients of the inputs from the result's; none for an input that nobody asked for.
type Backward = Arc<dyn Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// One op that was recorded. Held by its result, through candle's graph, and by the ops it is an input of. Neither the values
/// that went in nor the one that came out are kept, unless the op's backward pass keeps them: in a decoder that is a quarter
/// of all memory.
struct Node {
    /// Later ops have larger numbers, so what depends on a node comes after it.
    order: u64,
    inputs: Vec<Input>,
    result: OnceLock<TensorId>,
    /// None after a pass that needs it no more: what it kept is given back then.
    backward: Mutex<Option<Backward>>,
}

/// Where the gradient of an op's input goes.
enum Input {
    Constant,
    Variable(TensorId),
    /// A result of ours.
    Node(Arc<Node>),
    /// A result of candle's ops, whose gradients it computes from the tensor.
    Foreign(Tensor),
}

impl Input {
    fn of(tensor: &Tensor) -> Self {
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
    fn gradients(&self, grad: &Tensor, last: bool) -> Result<Vec<Option<Tensor>>> {
        let mut kept = self.backward.lock().unwrap_or_else(PoisonError::into_inner);
        let backward = if last { kept.take() } else { kept.clone() };
        drop(kept); // A gradient waits for other threads.
        match backward {
            Some(backward) => backward(grad),
            None => candle_core::bail!("a second backward pass through what `backward_once` has gone through"),
        }
    }

    fn of(tensor: &Tensor) -> Option<Arc<Self>> {
        NODES.lock().unwrap_or_else(PoisonError::into_inner).get(&tensor.id()).and_then(Weak::upgrade)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(id) = self.result.get() {
            NODES.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
    }
}

/// A node as candle sees it.
struct Recorded {
    name: &'static str,
    value: Mutex<Option<Value>>,
    node: Option<Arc<Node>>,
}

impl CustomOp1 for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let value = self.value.lock().ok().and_then(|mut value| value.take());
        match value {
            Some(value) => Ok((value.storage, value.shape)),
            None => candle_core::bail!("{} ran twice", self.name),
        }
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        if let Some(node) = &self.node {
            ARRIVED.with_borrow_mut(|arrived| arrived.push((Arc::clone(node), grad.clone())));
        }
        Ok(None)
    }
}

/// What every result of ours is made of in candle's eyes.
static HIDDEN: LazyLock<Result<Var>> = LazyLock::new(|| Var::zeros(1, DType::F32, &Device::Cpu));

/// Records an op; the closure gets the gradient of the result and gives those of the inputs, in their order. Where no input is
/// tracked nothing is recorded.
pub(crate) fn record<B>(name: &'static str, inputs: &[&Tensor], value: Value, backward: B) -> Result<Tensor>
where
    B: Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
{
    let tracked = inputs.iter().any(|input| input.track_op());
    let inputs = tracked.then(|| inputs.iter().map(|input| Input::of(input)).collect());
    record_as(name, inputs, value, Arc::new(backward))
}

/// Records an op whose closure also gets the result, which is kept for it.
pub(crate) fn record_with_result<B>(name: &'static str, inputs: &[&Tensor], value: Value, backward: B) -> Result<Tensor>
where
    B: Fn(&Tensor, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
{
    // Without its place in the graph, or it would hold itself.
    let result = Arc::new(OnceLock::<Tensor>::new());
    let kept = Arc::clone(&result);
    let recorded = record(name, inputs, value, move |grad| match kept.get() {
        Some(result) => backward(result, grad),
        None => candle_core::bail!("{name}: no result to go back from"),
    })?;
    let _ = result.set(recorded.detach());
    Ok(recorded)
}

/// Records an op of one input.
pub(crate) fn record1<B>(name: &'static str, input: &Tensor, value: Value, backward: B) -> Result<Tensor>
where
    B: Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
{
    record(name, &[input], value, move |grad| Ok(vec![backward(grad)?]))
}

/// `inputs`: none if none is tracked.
fn record_as(name: &'static str, inputs: Option<Vec<Input>>, value: Value, backward: Backward) -> Result<Tensor> {
    static ORDER: AtomicU64 = AtomicU64::new(0);
    let hidden = match &*HIDDEN {
        Ok(hidden) => hidden.as_tensor(),
        Err(error) => candle_core::bail!("the tape could not begin: {error}"),
    };
    let value = Mutex::new(Some(value));
    let Some(inputs) = inputs else {
        return hidden.apply_op1_no_bwd(&Recorded { name, value, node: None });
    };
    let order = ORDER.fetch_add(1, Ordering::Relaxed);
    let node = Arc::new(Node { order, inputs, result: OnceLock::new(), backward: Mutex::new(Some(backward)) });
    let result = hidden.apply_op1(Recorded { name, value, node: Some(Arc::clone(&node)) })?;
    NODES.lock().unwrap_or_else(PoisonError::into_inner).insert(result.id(), Arc::downgrade(&node));
    let _ = node.result.set(result.id());
    Ok(result)
}

/// A gradient where it is asked for.
pub(crate) fn gradient<T: Real>(
    asked: bool,
    shape: impl Into<Shape>,
    numbers: impl FnOnce() -> Result<Vec<T>>,
) -> Result<Option<Tensor>> {
    asked.then(|| tensor(numbers()?, shape)).transpose()
}

#[cfg(test)]
mod tests {
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

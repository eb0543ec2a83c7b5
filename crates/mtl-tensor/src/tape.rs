//! The tape: the graph of recorded ops, and the backward pass over it.
//!
//! An op is two plain functions over slices: the forward one runs first, and [`record`] puts its result into
//! the graph together with the backward closure, which may own tensors of the forward pass (an arg-max,
//! batch statistics). [`backward`] visits these nodes, latest first.
//!
//! candle's own ops may stand between ours. Each result of ours is, to candle, made of one hidden variable, so candle's backward
//! pass ends there and hands its gradient over. The reason: candle's tape makes zeros for every gradient,
//! adds to them into new memory, and does so in threads of its own that wait by spinning, which was a third of
//! a training step.

mod backward;
mod node;
mod saved;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::thread::LocalKey;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, Var};

pub use backward::{Gradients, backward, backward_retain, vjp, vjp_retain};
pub(crate) use saved::Saved;

use self::node::{Input, Node};
use crate::Real;
use crate::real::tensor;

thread_local! {
    static CONSTANT_WEIGHTS: Cell<bool> = const { Cell::new(false) };
    static FORCE_COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Sets a variable of this thread while `body` runs. It is restored after a panic too.
pub(crate) fn with_local<T: Copy + 'static, R>(
    local: &'static LocalKey<Cell<T>>,
    value: T,
    body: impl FnOnce() -> R,
) -> R {
    struct PutBack<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);
    impl<T: Copy + 'static> Drop for PutBack<T> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _before = PutBack(local, local.replace(value));
    body()
}

/// Runs `body` with the weights of convolutions, linear maps and normalisations as constants: gradients flow through a network that is
/// not being trained, and those of its weights, a third of its backward pass, are not computed.
pub fn with_constant_weights<R>(body: impl FnOnce() -> R) -> R {
    with_local(&CONSTANT_WEIGHTS, true, body)
}

/// Whether the gradient of a weight is needed. Only parameters themselves can be constants here: scales and shifts of
/// conditional norms are computed, and their inputs have a gradient (see [`weight`]).
pub(crate) fn needs_gradient(weight: &Tensor) -> bool {
    weight.track_op() && !(CONSTANT_WEIGHTS.get() && weight.is_variable())
}

/// A weight that something is computed from before it meets the data: cut off where weights are constants.
pub(crate) fn weight(weight: &Tensor) -> Tensor {
    if CONSTANT_WEIGHTS.get() { weight.detach() } else { weight.clone() }
}

/// True where an op must be made of candle's own ops: on accelerators, and where a test requires it.
pub(crate) fn composed(x: &Tensor) -> bool {
    !x.device().is_cpu() || FORCE_COMPOSED.get()
}

/// Runs `body` with the accelerators' code on this thread, so that it can be checked on a machine without one.
pub(crate) fn force_composed<R>(body: impl FnOnce() -> R) -> R {
    with_local(&FORCE_COMPOSED, true, body)
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
            backward::arrived(self.name, node, grad)?;
        }
        Ok(None)
    }
}

/// The one input, to candle, of every result of ours.
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
fn record_as(name: &'static str, inputs: Option<Vec<Input>>, value: Value, backward: node::Backward) -> Result<Tensor> {
    static ORDER: AtomicU64 = AtomicU64::new(0);
    let hidden = match &*HIDDEN {
        Ok(hidden) => hidden.as_tensor(),
        Err(error) => candle_core::bail!("the tape could not begin: {error}"),
    };
    let value = Mutex::new(Some(value));
    let Some(inputs) = inputs else {
        return hidden.apply_op1_no_bwd(&Recorded { name, value, node: None });
    };
    let node = Arc::new(Node::new(ORDER.fetch_add(1, Ordering::Relaxed), inputs, backward));
    let result = hidden.apply_op1(Recorded { name, value, node: Some(Arc::clone(&node)) })?;
    node.is_of(&result);
    Ok(result)
}

/// A gradient where it is needed.
pub(crate) fn gradient<T: Real>(
    needed: bool,
    shape: impl Into<Shape>,
    numbers: impl FnOnce() -> Result<Vec<T>>,
) -> Result<Option<Tensor>> {
    needed.then(|| tensor(numbers()?, shape)).transpose()
}

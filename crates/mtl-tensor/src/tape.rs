//! How our kernels join candle's graph: a forward value computed by plain Rust, and a closure for its gradients.
//!
//! candle records an operation only through its `CustomOp` traits, which ask for a struct an operation and hand the
//! kernels storages and layouts. Here an op is two plain functions over slices instead: the forward one runs first,
//! and [`record1`], [`record2`] or [`record3`] put its result into the graph together with the backward closure, which
//! may own whatever the forward pass saved (an arg-max, batch statistics).

use std::cell::Cell;
use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

thread_local! {
    static CONSTANT_WEIGHTS: Cell<bool> = const { Cell::new(false) };
    static FORCE_COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body` with the weights of convolutions and normalisations as constants: gradients flow through a network that is
/// not being trained, and those of its weights, a third of its backward pass, are not computed.
pub fn with_constant_weights<R>(body: impl FnOnce() -> R) -> R {
    let before = CONSTANT_WEIGHTS.replace(true);
    let result = body();
    CONSTANT_WEIGHTS.set(before);
    result
}

/// Whether the gradient of a weight will be asked for. Only parameters themselves can be constants here: candle expects
/// a gradient for everything that was computed from them (see [`weight`]).
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

struct Recorded<B> {
    name: &'static str,
    value: Mutex<Option<Value>>,
    backward: B,
}

impl<B> Recorded<B> {
    fn new(name: &'static str, value: Value, backward: B) -> Self {
        Self { name, value: Mutex::new(Some(value)), backward }
    }

    fn take(&self) -> Result<(CpuStorage, Shape)> {
        let value = self.value.lock().ok().and_then(|mut value| value.take());
        value
            .map(|value| (value.storage, value.shape))
            .ok_or_else(|| candle_core::Error::Msg(format!("{} ran twice", self.name)))
    }
}

impl<B> CustomOp1 for Recorded<B>
where
    B: Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.take()
    }
    fn bwd(&self, _: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(result, grad)
    }
}

impl<B> CustomOp2 for Recorded<B>
where
    B: Fn(&Tensor, &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.take()
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, result: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        (self.backward)(result, grad)
    }
}

impl<B> CustomOp3 for Recorded<B>
where
    B: Fn(&Tensor, &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.take()
    }
    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        (self.backward)(result, grad)
    }
}

/// Records an op of one input; the closure gets (result, gradient of the result).
pub(crate) fn record1<B>(name: &'static str, a: &Tensor, value: Value, backward: B) -> Result<Tensor>
where
    B: Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
{
    a.apply_op1(Recorded::new(name, value, backward))
}

/// Records an op of two inputs.
pub(crate) fn record2<B>(name: &'static str, a: &Tensor, b: &Tensor, value: Value, backward: B) -> Result<Tensor>
where
    B: Fn(&Tensor, &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> + Send + Sync + 'static,
{
    a.apply_op2(b, Recorded::new(name, value, backward))
}

/// Records an op of three inputs.
pub(crate) fn record3<B>(
    name: &'static str,
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    value: Value,
    backward: B,
) -> Result<Tensor>
where
    B: Fn(&Tensor, &Tensor) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> + Send + Sync + 'static,
{
    a.apply_op3(b, c, Recorded::new(name, value, backward))
}

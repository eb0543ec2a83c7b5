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

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, TensorId, Var};

use crate::real::tensor;
use crate::{Real, ops};

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
type Backward = Box<dyn Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync>;

/// One op that was recorded. Held by its result, through candle's graph, and by the ops it is an input of. Neither the values
/// that went in nor the one that came out are kept, unless the op's backward pass keeps them: in a decoder that is a quarter
/// of all memory.
struct Node {
    /// Later ops have larger numbers, so what depends on a node comes after it.
    order: u64,
    inputs: Vec<Input>,
    result: OnceLock<TensorId>,
    backward: Backward,
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
    record_as(name, inputs, value, Box::new(backward))
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
    let node = Arc::new(Node { order, inputs, result: OnceLock::new(), backward });
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

/// What [`backward`] found: the gradient of every variable that the value depends on.
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

/// The gradients of `value` (of its sum, if it holds several numbers), in place of candle's `backward`, which ends at our ops.
///
/// # Errors
/// Any error of an op's gradient.
pub fn backward(value: &Tensor) -> Result<Gradients> {
    let mut pass = Pass::default();
    pass.through_candle(value)?;
    pass.run()
}

/// The gradients of a value whose own gradients at `tensors` are `grads`: a backward pass that begins in the middle.
///
/// # Errors
/// Another number of gradients, shapes that differ, any error of an op's gradient.
pub fn backward_from(tensors: &[Tensor], grads: &[Tensor]) -> Result<Gradients> {
    if tensors.len() != grads.len() {
        candle_core::bail!("backward_from: {} gradients of {} tensors", grads.len(), tensors.len());
    }
    let mut pass = Pass::default();
    for (tensor, grad) in tensors.iter().zip(grads) {
        if tensor.shape() != grad.shape() {
            candle_core::bail!("backward_from: a gradient {:?} of {:?}", grad.shape(), tensor.shape());
        }
        pass.arrive(&Input::of(tensor), grad.detach())?;
    }
    pass.run()
}

#[derive(Default)]
struct Pass {
    found: Gradients,
    /// Nodes that have a gradient, by order: when one is the latest left, nothing can add to it any more.
    pending: BTreeMap<u64, (Arc<Node>, Tensor)>,
}

impl Pass {
    fn run(mut self) -> Result<Gradients> {
        while let Some((_, (node, grad))) = self.pending.pop_last() {
            let grads = (node.backward)(&grad)?;
            drop(grad);
            for (input, grad) in node.inputs.iter().zip(grads) {
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
        ARRIVED.with_borrow_mut(Vec::clear); // Of a pass that failed.
        #[allow(clippy::disallowed_methods)] // The one place that candle's own pass is right: up to our nodes.
        let store = value.backward()?;
        for (node, grad) in ARRIVED.take() {
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
            let found = to_f64(backward(&value).unwrap().get(&x).unwrap()).unwrap();
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
        let middle = backward_from(std::slice::from_ref(&y), std::slice::from_ref(&weights)).unwrap();
        assert_eq!(of(middle), of(backward(&sum).unwrap()));
        assert!(backward_from(std::slice::from_ref(&y), &[sum]).is_err(), "another shape");
        assert!(backward_from(&[y], &[]).is_err(), "one too few");
    }

    #[test]
    fn nothing_is_recorded_for_constants_and_nothing_stays_of_a_graph() {
        let constant = Tensor::new(&[1.0f64, -1.0], &Device::Cpu).unwrap();
        assert!(!ops::relu(&constant).unwrap().track_op());
        let x = var(&[1.0, -1.0]);
        let y = ops::relu(&x).unwrap();
        let id = y.id();
        let known = || NODES.lock().unwrap().contains_key(&id);
        assert!(known());
        let z = ops::tanh(&y).unwrap();
        drop(y);
        assert!(known(), "z still needs it");
        drop(z);
        assert!(!known());
    }
}

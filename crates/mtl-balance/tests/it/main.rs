//! Conformance of every registered balancer, and reference values of other libraries.

mod conformance;
mod reference;

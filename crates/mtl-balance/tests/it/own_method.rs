//! The example `own_method.rs`: a balancer from another crate.

use serde_json::json;

#[path = "../../examples/own_method.rs"]
#[expect(dead_code, reason = "the example's `main`")]
mod example;

#[test]
fn a_method_from_outside_is_found_configured_and_run() {
    assert_eq!(example::weights("power", json!({ "exponent": 1.0 })).unwrap(), [0.25, 1.0]);
    assert_eq!(example::weights("power", json!({ "exponent": 0.0 })).unwrap(), [1.0, 1.0]);
    assert_eq!(example::methods().unwrap().entries().len(), mtl_balance::BALANCERS.len() + 1);
}

#[test]
fn its_mistakes_are_errors() {
    let error = example::weights("powr", json!({})).unwrap_err().to_string();
    assert!(error.contains("did you mean `power`?"), "{error}");
    let error = example::weights("power", json!({ "exponnt": 1.0 })).unwrap_err().to_string();
    assert!(error.contains("exponnt") && error.contains("exponent"), "{error}");
    // The adapter names method and task where a rule overflows.
    let error = example::weights("power", json!({ "exponent": -1e6 })).unwrap_err().to_string();
    assert!(error.contains("`power`") && error.contains("task `0`"), "{error}");
}

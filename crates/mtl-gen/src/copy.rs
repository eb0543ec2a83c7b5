//! Copies of parameters from one network to another of the same architecture.

use mtl_tensor::Scope;

use crate::Error;
use crate::generator::has_prefix;

/// Copies every parameter and buffer below `from` to the one of the same name below `to`, in the store of `scope`.
///
/// # Errors
/// A parameter that is missing or has another shape; nothing is copied then.
pub(crate) fn copy_parameters(scope: &Scope, from: &str, to: &str) -> Result<(), Error> {
    let all = scope.params().all();
    let mut pairs = Vec::new();
    for (name, var) in all.iter().filter(|(name, _)| has_prefix(name, to)) {
        let source = format!("{from}{}", &name[to.len()..]);
        match all.get(&source) {
            Some(value) if value.dims() == var.dims() => pairs.push((var, value)),
            found => {
                let problem = match found {
                    Some(value) => format!("`{source}` is {:?} and `{name}` {:?}", value.dims(), var.dims()),
                    None => format!("there is no `{source}` for `{name}`"),
                };
                return Err(Error::Copy { from: from.to_owned(), to: to.to_owned(), problem });
            }
        }
    }
    for (var, value) in pairs {
        var.set(&value.as_tensor().detach().copy()?)?;
    }
    Ok(())
}

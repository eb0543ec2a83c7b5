//! Class embedding: a table with one row per class, and one row for missing labels.

use mtl_tensor::{DType, Init, Scope, Tensor, Var};

use crate::Error;

/// Embedding table `[K + 1, E]`; row `K` is that of a missing label, and the only row of a generator without classes.
#[derive(Clone, Debug)]
pub struct Embedding {
    table: Var,
    classes: usize,
}

impl Embedding {
    /// Table of rows with `width` values, initialised by `init`.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(scope: &Scope, classes: usize, width: usize, init: Init) -> Result<Self, Error> {
        Ok(Self { table: scope.param("weight", (classes + 1, width), init)?, classes })
    }

    /// Rows of `labels`: `[B, E]`. Negative labels take the row of missing labels. With `frozen` the table is a constant.
    ///
    /// # Errors
    /// A label outside the classes.
    pub fn forward(&self, labels: &[i32], frozen: bool) -> Result<Tensor, Error> {
        // A product with a one-hot matrix: its gradient has a fixed order of summation, that of a scatter has not.
        let hot = one_hot(labels, self.classes, &self.table)?;
        let table = self.table.as_tensor();
        Ok(if frozen { hot.matmul(&table.detach())? } else { hot.matmul(table)? })
    }
}

fn one_hot(labels: &[i32], classes: usize, like: &Tensor) -> Result<Tensor, Error> {
    let mut values = vec![0f32; labels.len() * (classes + 1)];
    for (row, &label) in labels.iter().enumerate() {
        values[row * (classes + 1) + row_of(label, classes)?] = 1.0;
    }
    Ok(Tensor::from_vec(values, (labels.len(), classes + 1), like.device())?
        .to_dtype(DType::F32)?
        .to_dtype(like.dtype())?)
}

/// The table row of a label. A generator without classes ignores labels.
pub(crate) fn row_of(label: i32, classes: usize) -> Result<usize, Error> {
    match usize::try_from(label) {
        Err(_) => Ok(classes),
        Ok(_) if classes == 0 => Ok(0),
        Ok(class) if class < classes => Ok(class),
        Ok(_) => Err(Error::Class { class: label, classes }),
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{Device, Params};

    use super::*;

    #[test]
    fn rows_by_label_and_the_last_one_for_missing_labels() {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let embedding = Embedding::new(&params.scope("e"), 2, 3, Init::Uniform { fan_in: 1 }).unwrap();
        let table = embedding.table.to_vec2::<f64>().unwrap();
        let rows = embedding.forward(&[1, -1, 0], false).unwrap().to_vec2::<f64>().unwrap();
        assert_eq!(rows, [table[1].clone(), table[2].clone(), table[0].clone()]);
        let error = embedding.forward(&[2], false).unwrap_err().to_string();
        assert!(error.contains("class 2"), "{error}");
    }
}

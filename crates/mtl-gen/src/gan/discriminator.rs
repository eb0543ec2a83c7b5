//! The discriminator as a detector of overfitting.

use mtl_tensor::{Ctx, Tensor, to_f64};
use mtl_trunk::Trunk;

use super::Gan;
use super::backbone::Rows;
use crate::critic::Pass;
use crate::{Discriminator, Error};

impl Discriminator for Gan {
    fn scores(&self, trunk: &dyn Trunk, images: &Tensor, classes: &[i32]) -> Result<Vec<f64>, Error> {
        let count = images.dim(0)?;
        Error::check_labels(classes, images)?;
        let mut taps: Vec<Tensor> = Vec::new();
        if let Some(own) = &self.own {
            taps = own.scores(images, classes, &[Rows::of(count)], 1.0, true)?;
        } else {
            for backbone in &self.backbones {
                let Some(heads) = &backbone.heads else { continue };
                let features = backbone.trunk(trunk).forward(images, &Ctx::eval())?.detach();
                for logits in heads.forward(&features, classes, 1.0, Pass::Generator)? {
                    taps.push(logits.mean(1)?);
                }
            }
        }
        let mut sums = vec![0.0; count];
        for tap in &taps {
            sums.iter_mut().zip(to_f64(tap)?).for_each(|(sum, score)| *sum += score / taps.len() as f64);
        }
        Ok(sums)
    }

    fn raise_augmentation(&self, by: f64) -> Result<Option<f64>, Error> {
        let augment = &self.config.augment;
        let any = augment.translation > 0.0 || augment.cutout > 0.0 || augment.colour > 0.0;
        if self.config.adaptive && any && self.balance.probability()? < 1.0 {
            Ok(Some(self.balance.raise(by)?))
        } else {
            Ok(None)
        }
    }
}

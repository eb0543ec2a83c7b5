//! REFERENCE.md, made from the reference values and ours. `MTL_WRITE_TABLES=1 cargo test -p mtl-balance tables` writes it.

use std::fmt::Write;

use mtl_balance::Gram;
use serde_json::Value;

use crate::reference::{TABLE, cases, numbers, update};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/REFERENCE.md");

/// Method, its settings, torchjd's and LibMTL's names of it.
const METHODS: &[(&str, &str, &str, &str)] = &[
    ("mgda", r#"{"mgda": {}}"#, "MGDA_default(eps=1e-3,iters=100)", "MGDA_none"),
    ("mgda, rows=l2", r#"{"mgda": {"rows": "l2"}}"#, "", "MGDA_l2"),
    ("cagrad", r#"{"cagrad": {}}"#, "CAGrad_c0.5", "CAGrad_c0.5_rescale1"),
    ("imtl_g", r#"{"imtl_g": {}}"#, "IMTLG", "IMTL(G with loss_scale=0)"),
    ("nash", r#"{"nash": {"max_norm": 0}}"#, "NashMTL_maxnorm0_first_call", ""),
    ("fairgrad", r#"{"fairgrad": {}}"#, "FairGrad_alpha1.0", "FairGrad_alpha1"),
    ("aligned", r#"{"aligned": {}}"#, "AlignedMTL_min", ""),
    ("dualproj", r#"{"dualproj": {}}"#, "DualProj", ""),
    ("upgrad", r#"{"upgrad": {}}"#, "UPGrad", "UPGrad"),
    ("config", r#"{"config": {}}"#, "ConFIG", ""),
    ("krum", r#"{"krum": {}}"#, "Krum_byz0_sel1", ""),
];
const INPUTS: &[(&str, &str)] = &[
    ("zero_row_3x3", "one gradient is zero"),
    ("parallel_rows_3x3", "all gradients are parallel"),
    ("antiparallel_2x2", "two gradients are opposed"),
    ("huge_scale_ratio_3x3", "lengths a million times apart"),
    ("all_zero_3x3", "all gradients are zero"),
    ("single_task_1x3", "one task"),
];

fn inputs(case: &Value) -> (Vec<Vec<f64>>, Gram) {
    let rows: Vec<Vec<f64>> = case["jacobian"].as_array().unwrap().iter().map(numbers).collect();
    let gram: Vec<f64> = case["gramian"].as_array().unwrap().iter().flat_map(numbers).collect();
    let gram = Gram::new(rows.len(), gram).unwrap();
    (rows, gram)
}

/// Three digits, and no sign of what is zero but for rounding.
fn words(vector: &[f64], size: f64) -> String {
    let number = |v: &f64| match v.abs() {
        x if x < 1e-12 * size || x == 0.0 => "0".to_owned(),
        x if (1e-3..1e4).contains(&x) => format!("{v:.3}"),
        _ => format!("{v:.2e}"),
    };
    vector.iter().map(number).collect::<Vec<_>>().join(", ")
}

fn theirs(value: &Value, size: f64) -> String {
    if value.get("error").is_some() {
        return "fails".to_owned();
    }
    match value["vector"].as_array() {
        None => "-".to_owned(),
        Some(numbers) if numbers.iter().any(Value::is_null) => "NaN".to_owned(),
        Some(numbers) => words(&numbers.iter().filter_map(Value::as_f64).collect::<Vec<_>>(), size),
    }
}

fn document(file: &Value) -> String {
    let cases = file["cases"].as_array().unwrap();
    let mut text = "# Reference values

Made by `MTL_WRITE_TABLES=1 cargo test -p mtl-balance tables`, and held by that test, from values computed with torchjd 0.18.0, LibMTL \
4336804 and conflictfree 0.1.8 in double precision. Beside these the tests hold DB-MTL, MoCo, PCD, SDMGrad, MoDo, FAMO, DWA, \
GradVac, GradNorm, ExcessMTL, GradDrop, Krum, the trimmed mean and the losses' methods to those libraries call by call, and MGDA, DualProj, \
UPGrad, Nash, FairGrad and PCD to clarabel on random problems.

## Equal
Update vectors; the difference is the largest over all cases compared, relative to the largest entry of the gradients.

| library | its method | ours | cases | difference below | not compared |
|---|---|---|---:|---:|---|
"
    .to_owned();
    for (library, method, config, _, apart) in TABLE {
        let (mut compared, mut worst) = (0, 0.0f64);
        for case in cases.iter().filter(|case| !apart.contains(&case["name"].as_str().unwrap())) {
            let (rows, gram) = inputs(case);
            let expected = numbers(&case[*library][*method]["vector"]);
            let size = rows.iter().flatten().fold(1e-300f64, |most, v| most.max(v.abs()));
            let found = update(config, &rows, &gram);
            worst = found.iter().zip(&expected).fold(worst, |most, (a, b)| most.max((a - b).abs() / size));
            compared += 1;
        }
        // To the next power of ten: the last digits are those of a machine.
        let power = worst.max(1e-15).log10().ceil();
        let apart: Vec<&str> = apart.iter().map(|name| name.rsplit_once('_').map_or(*name, |(name, _)| name)).collect();
        let config = config.replace('"', "").replace(": {}", "");
        writeln!(text, "| {library} | {method} | `{config}` | {compared} | 1e{power} | {} |", apart.join(", "))
            .unwrap();
    }
    text += "
The cases not compared are those where ours differs on purpose (the table below), and for CAGrad, DualProj and UPGrad those where the \
libraries' solvers stop early or regularise: there ours is held to its optimality conditions, or to sixty digits.

## Degenerate inputs
What the libraries do, and what we do: a gradient of length zero is left out, one task keeps weight 1, and where no direction helps all \
tasks the update of methods that promise to work against none is zero. A number that is not finite is an error naming the task. (MGDA on divided rows: the weights are those of LibMTL; it applies \
them to the divided gradients, ours as in the paper to the gradients as they are.) `-`: not among the values; `fails`: an exception.

| input | method | torchjd | LibMTL | ours |
|---|---|---|---|---|
";
    for (name, input) in INPUTS {
        let case = cases.iter().find(|case| case["name"] == *name).unwrap();
        let (rows, gram) = inputs(case);
        let size = rows.iter().flatten().fold(0.0f64, |most, v| most.max(v.abs()));
        for (method, config, torchjd, libmtl) in METHODS {
            let ours = words(&update(config, &rows, &gram), size);
            let theirs = |library: &str, name: &str| theirs(&case[library][name], size);
            let (torchjd, libmtl) = (theirs("torchjd", torchjd), theirs("LibMTL", libmtl));
            writeln!(text, "| {input} | {method} | {torchjd} | {libmtl} | {ours} |").unwrap();
        }
    }
    text
}

#[test]
fn the_committed_tables_are_these() {
    let Some(file) = cases() else { return };
    let text = document(&file);
    if std::env::var_os("MTL_WRITE_TABLES").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    assert!(std::fs::read_to_string(FILE).unwrap() == text, "{FILE} is out of date: MTL_WRITE_TABLES=1 writes it anew");
}

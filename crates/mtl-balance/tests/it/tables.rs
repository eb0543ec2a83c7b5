//! REFERENCE.md: our values compared with the reference values. `MTL_WRITE_TABLES=1 cargo test -p mtl-balance tables` writes it.

use std::fmt::Write;

use serde_json::Value;

use crate::reference::{Ours, TABLE, cases, file};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/REFERENCE.md");

/// Method, its settings, torchjd's and LibMTL's names of it.
const METHODS: &[(&str, &str, &str, &str)] = &[
    ("mgda", r#"{"mgda": {}}"#, "MGDA_default(eps=1e-3,iters=100)", "MGDA_none"),
    ("mgda, rows=l2", r#"{"mgda": {"rows": "l2"}}"#, "", "MGDA_l2"),
    ("cagrad", r#"{"cagrad": {}}"#, "CAGrad_c0.5", "CAGrad_c0.5_rescale1"),
    ("imtl_g", r#"{"imtl_g": {}}"#, "IMTLG", "IMTL(G with loss_scale=0)"),
    ("nash_mtl", r#"{"nash_mtl": {"max_norm": 0}}"#, "NashMTL_maxnorm0_first_call", ""),
    ("fairgrad", r#"{"fairgrad": {}}"#, "FairGrad_alpha1.0", "FairGrad_alpha1"),
    ("aligned_mtl", r#"{"aligned_mtl": {}}"#, "AlignedMTL_min", ""),
    ("dualproj", r#"{"dualproj": {}}"#, "DualProj", ""),
    ("upgrad", r#"{"upgrad": {}}"#, "UPGrad", "UPGrad"),
    ("config", r#"{"config": {}}"#, "ConFIG", ""),
    ("krum", r#"{"krum": {}}"#, "Krum_byz0_sel1", ""),
];
const INPUTS: &[(&str, &str)] = &[
    ("zero_row_3x3", "one gradient of zero"),
    ("parallel_rows_3x3", "two parallel gradients of three"),
    ("antiparallel_2x2", "two opposed gradients"),
    ("huge_scale_ratio_3x3", "lengths a million times apart"),
    ("all_zero_3x3", "all gradients of zero"),
    ("single_task_1x3", "one task"),
];

/// Three digits; 0 for numbers that are zero up to rounding.
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
    let all = cases(file);
    let mut text = "# Reference values

Written by `MTL_WRITE_TABLES=1 cargo test -p mtl-balance tables` and checked by the same test. The values of torchjd 0.18.0, LibMTL \
4336804 and conflictfree 0.1.8, in double precision, are in `tests/it/reference`. Tests without a table compare the methods of losses, FAMO and DWA per call, \
and the weight average with the same libraries; GradNorm and ExcessMTL with LibMTL's code; IMTL-G for more tasks than \
directions with NumPy's pseudo-inverse; and MGDA, DualProj, UPGrad, Nash-MTL, FairGrad and \
PCD with clarabel on random problems.

## Equal
Update vectors (weights where the library gives only these), of every call in a sequence. The difference is the largest over all \
compared cases, relative to the largest number of the library's result, or of the gradients where that result is zero up to rounding.

| library | its method | this crate | cases | difference below | not compared |
|---|---|---|---:|---:|---|
"
    .to_owned();
    for row in TABLE {
        let found: Vec<f64> = all.iter().filter_map(|case| case.difference(row)?.ok()).collect();
        // To the next power of ten: the last digits are those of a machine.
        let power = found.iter().fold(1e-15f64, |most, off| most.max(*off)).log10().ceil();
        let short = |name: &&str| name.rsplit_once('_').map_or(*name, |(name, _)| name).to_owned();
        let apart: Vec<String> = row.apart.iter().map(short).collect();
        let (ours, below, apart) = match &row.ours {
            Ours::Nothing(why) => ("-".to_owned(), "-".to_owned(), (*why).to_owned()),
            Ours::Method(config) => {
                (config.replace(['"', '\n'], "").replace(": {}", ""), format!("1e{power}"), apart.join(", "))
            }
            Ours::PcGrad(down) => (
                format!("{{pcgrad}}, {}scending", if *down { "de" } else { "a" }),
                format!("1e{power}"),
                apart.join(", "),
            ),
            Ours::GradVac => ("{gradvac}, ascending".to_owned(), format!("1e{power}"), apart.join(", ")),
            Ours::GradDrop(leak) => {
                (format!("{{graddrop: {{leak: {leak}}}}}, draws given"), format!("1e{power}"), apart.join(", "))
            }
        };
        writeln!(text, "| {} | {} | `{ours}` | {} | {below} | {apart} |", row.library, row.theirs, found.len())
            .unwrap();
    }
    text += "
Not compared: cases with intended differences (next table), and cases in which the libraries' solvers stop early or \
regularise (UPGrad and DualProj by 1e-4 with their defaults, hence 1e-2). Other tests compare those with exact solutions (`exact_own_solver`), \
optimality conditions, or solutions in sixty digits.

## Degenerate inputs
Here a gradient of length zero is left out, a single task has weight 1, and where no direction improves all \
tasks, methods with the guarantee \"no conflict\" give an update of zero. A number that is not finite is an error that names the task. (MGDA on divided rows: the weights are those of \
LibMTL; LibMTL applies them to the divided gradients, here as in the paper to the original gradients.) `-`: no value; `fails`: an exception.

| input | method | torchjd | LibMTL | this crate |
|---|---|---|---|---|
";
    for (name, input) in INPUTS {
        let case = all.iter().find(|case| case.name == *name).unwrap();
        let size = case.rows.iter().flatten().fold(0.0f64, |most, v| most.max(v.abs()));
        for (method, config, torchjd, libmtl) in METHODS {
            let ours = words(&case.call(config, false, 1)[0].vector, size);
            let theirs = |library: &str, name: &str| theirs(case.theirs(library, name), size);
            let (torchjd, libmtl) = (theirs("torchjd", torchjd), theirs("LibMTL", libmtl));
            writeln!(text, "| {input} | {method} | {torchjd} | {libmtl} | {ours} |").unwrap();
        }
    }
    text
}

#[test]
fn the_committed_tables_are_up_to_date() {
    let file = file();
    let text = document(&file);
    if std::env::var_os("MTL_WRITE_TABLES").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    assert!(std::fs::read_to_string(FILE).unwrap() == text, "{FILE} is out of date: MTL_WRITE_TABLES=1 rewrites it");
}

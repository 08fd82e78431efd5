//! Compares `vaurien` with the other contenders, case by case.

use crate::cases::{self, Case};
use crate::contenders::Contender;
use crate::figures::{Figure, median, number, ranged};
use crate::measure::{measure, order};
use crate::options::Options;
use crate::table::Table;

pub(crate) fn compare(options: &Options) -> anyhow::Result<()> {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| options.wants(&case.name)).collect();
    if cases.is_empty() {
        return Ok(());
    }
    let contenders = Contender::all();
    // The two contenders of the ratio.
    let vaurien = contenders.iter().position(|contender| matches!(contender, Contender::Vaurien));
    let haproxy = contenders.iter().position(|contender| matches!(contender, Contender::Haproxy(_)));
    println!("Medians. Rounds: {}, of {} s for each measurement.", options.rounds, options.seconds);
    match haproxy {
        Some(_) => println!("A ratio above 1 is in favour of vaurien: its median and its range over the rounds.\n"),
        None => println!("HAProxy is not installed, and is left out.\n"),
    }
    let names: Vec<_> = contenders.iter().map(ToString::to_string).collect();
    let mut columns = vec![("case", 36), ("figure", 19)];
    columns.extend(names.iter().map(|name| (name.as_str(), 9)));
    columns.extend(haproxy.map(|_| ("vaurien : HAProxy", 18)));
    let table = Table::begin(&columns, 2);
    for case in cases {
        let values = rounds(&case, &contenders, options)?;
        for (figure, values) in case.figures.iter().zip(values) {
            let mut cells = vec![case.name.clone(), figure.label.to_owned()];
            cells.extend(values.iter().map(|values| median(values).map_or("–".to_owned(), number)));
            cells.extend(vaurien.zip(haproxy).map(|(one, other)| ratio(figure, &values[one], &values[other])));
            table.row(cells);
        }
    }
    Ok(())
}

/// The measurements of all rounds: by figure, by contender, in the order of the rounds.
fn rounds(case: &Case, contenders: &[Contender], options: &Options) -> anyhow::Result<Vec<Vec<Vec<f64>>>> {
    let mut values = vec![vec![Vec::new(); contenders.len()]; case.figures.len()];
    for round in 0..options.rounds {
        for at in order(round, contenders.len()).filter(|at| case.takes(&contenders[*at])) {
            let sample = measure(&contenders[at], case, options.window())?;
            for (values, figure) in values.iter_mut().zip(case.figures) {
                values[at].extend(figure.of(&sample));
            }
        }
    }
    Ok(values)
}

/// How many times better `one` is than `other`: the median of the ratios of each round.
fn ratio(figure: &Figure, one: &[f64], other: &[f64]) -> String {
    let ratios: Vec<_> = one.iter().zip(other).filter_map(|(one, other)| figure.times_better(*one, *other)).collect();
    ranged(&ratios, |ratio| format!("{ratio:.2}"))
}

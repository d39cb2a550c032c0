//! Lists on standard output: as a table for people, as JSON, one JSON object a line, or ids for programs.

use super::style::{Hue, Line, Style};
use super::terminal::Terminal;
use super::text::{inert, width};
use serde::Serialize;

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Ids only, one a line.
    Id,
}

impl Output {
    /// Whether programs read it.
    pub(super) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

/// A column: its title and whether only `wide` shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    wide: bool,
}

/// A column that is always shown.
pub(super) const fn column(title: &'static str) -> Column {
    Column { title, wide: false }
}

/// A column that only `wide` shows.
pub(super) const fn wide(title: &'static str) -> Column {
    Column { title, wide: true }
}

/// A cell: what stands in it, and its hue.
pub(super) type Cell = (Hue, String);

/// A plain cell.
pub(super) fn cell(text: impl ToString) -> Cell {
    (Hue::Plain, text.to_string())
}

/// An empty cell where there is nothing.
pub(super) fn maybe(text: Option<impl ToString>) -> Cell {
    cell(text.map(|t| t.to_string()).unwrap_or_default())
}

/// Writes a list in the form that was asked for. `id` names an item, `cells` gives its cells in the order of the columns.
pub(super) fn list<T: Serialize>(
    terminal: &mut Terminal,
    (output, ascii): (Output, bool),
    items: &[T],
    columns: &[Column],
    id: impl Fn(&T) -> String,
    cells: impl Fn(&T, Style) -> Vec<Cell>,
) {
    match output {
        Output::Json => terminal.out.line(json(&items)),
        Output::Ndjson => items.iter().for_each(|item| terminal.out.line(line(item))),
        Output::Id => items.iter().for_each(|item| terminal.out.line(inert(&id(item)))),
        Output::Table | Output::Wide => {
            let style = terminal.wishes.style(terminal.out.tty, ascii);
            // What is piped is read by programs that cut for themselves.
            let room = if terminal.out.tty { terminal.space().0 } else { usize::MAX };
            let rows: Vec<Vec<Cell>> = items.iter().map(|item| cells(item, style)).collect();
            table(columns, &rows, output == Output::Wide, room, style).into_iter().for_each(|line| terminal.out.line(line));
        }
    }
}

/// A JSON document for people and programs alike.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("what is shown is plain data")
}

/// A JSON document on one line.
pub(super) fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what is shown is plain data")
}

/// Columns as wide as their widest cell, the last one cut by the terminal.
pub(super) fn table(columns: &[Column], rows: &[Vec<Cell>], all: bool, room: usize, style: Style) -> Vec<String> {
    let shown: Vec<usize> = (0..columns.len()).filter(|c| all || !columns[*c].wide).collect();
    let widest =
        |c: &usize| rows.iter().map(|row| width(&inert(&row[*c].1))).chain([width(columns[*c].title)]).max().unwrap_or(0);
    let widths: Vec<usize> = shown.iter().map(widest).collect();
    let set = |cells: Vec<(Hue, &str)>| {
        let mut at = 0;
        let mut line = Line::new();
        for ((hue, text), width) in cells.into_iter().zip(&widths) {
            line = line.to(at).with(hue, text);
            at += width + 2;
        }
        line.show(room, style)
    };
    let head = set(shown.iter().map(|c| (Hue::Idle, columns[*c].title)).collect());
    let body = rows.iter().map(|row| set(shown.iter().map(|c| (row[*c].0, row[*c].1.as_str())).collect()));
    std::iter::once(head).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_the_line_is_cut() {
        let columns = [column("NAME"), wide("MORE"), column("WHAT")];
        let rows = vec![vec![cell("a"), cell("x"), cell("something long")], vec![cell("longer\nname"), cell("y"), cell("b")]];
        let style = Style::default();
        assert_eq!(
            table(&columns, &rows, false, 80, style),
            ["NAME         WHAT", "a            something long", "longer name  b"]
        );
        assert_eq!(table(&columns, &rows, true, 21, style)[1], "a            x     s…");
    }
}

//! CSV: an array of objects by the names of the first record, or of arrays where there are none.

use std::collections::BTreeSet;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::{
    budget::Budget,
    error::{DocumentError, LineError},
    rows::Rows,
};
use crate::definition::CsvFormat;

/// A field has so many bytes of room at first.
const FIELD_BYTES: usize = 1024;

/// Reads a whole body within `budget`. Fields are texts; blanks around them are passed.
pub(crate) fn parse(
    text: &str,
    format: &CsvFormat,
    budget: &mut Budget,
) -> Result<Value, DocumentError> {
    budget.take(FIELD_BYTES as u64)?;
    let mut fields = Fields {
        reader: ReaderBuilder::new()
            .delimiter(format.delimiter)
            .comment(format.comment)
            .build(),
        rest: text.as_bytes(),
        room: vec![0; FIELD_BYTES],
    };
    let mut table = Table::new(format.header);
    while let Some(field) = fields.next(budget)? {
        let is_end = field.is_end;
        let line = field.line;
        table.field(&field, budget)?;
        if is_end {
            table.end(line, budget)?;
        }
    }
    budget.give_back(fields.room.len() as u64);
    Ok(table.rows.into())
}

/// The fields of a text, one after the other: a record may have any number of them.
struct Fields<'t> {
    reader: Reader,
    rest: &'t [u8],
    room: Vec<u8>,
}

/// A field.
struct Field<'f> {
    text: &'f str,
    /// Whether it is the last one of its record.
    is_end: bool,
    line: u64,
}

impl Fields<'_> {
    fn next(&mut self, budget: &mut Budget) -> Result<Option<Field<'_>>, DocumentError> {
        let (mut length, line) = (0, self.reader.line());
        let is_end = loop {
            let free = self.room.get_mut(length..).unwrap_or_default();
            let (result, read, written) = self.reader.read_field(self.rest, free);
            self.rest = self.rest.get(read..).unwrap_or_default();
            length += written;
            match result {
                ReadFieldResult::Field { record_end } => break record_end,
                ReadFieldResult::End => return Ok(None),
                // What comes next is the end.
                ReadFieldResult::InputEmpty => {}
                ReadFieldResult::OutputFull => {
                    let (old, new) = (self.room.len(), self.room.len() * 2);
                    budget.take(new as u64)?;
                    self.room.reserve_exact(new - old);
                    self.room.resize(new, 0);
                    budget.give_back(old as u64);
                }
            }
        };
        let text = self.room.get(..length).unwrap_or_default();
        // It is a part of a text, without quotes.
        let text = std::str::from_utf8(text).map_err(|error| wrong(line, error.to_string()))?;
        Ok(Some(Field {
            text: text.trim(),
            is_end,
            line,
        }))
    }
}

fn wrong(line: u64, reason: String) -> DocumentError {
    DocumentError::Csv(LineError {
        line: usize::try_from(line).unwrap_or(usize::MAX),
        reason,
    })
}

/// The rows of a table while it is read.
struct Table {
    has_header: bool,
    /// The names of the columns, once they were read.
    names: Vec<String>,
    /// So many fields has each record, once the first one was read.
    width: Option<usize>,
    /// So many fields were read of this record.
    read: usize,
    object: Map<String, Value>,
    array: Vec<Value>,
    rows: Rows,
}

impl Table {
    fn new(has_header: bool) -> Self {
        Self {
            has_header,
            names: Vec::new(),
            width: None,
            read: 0,
            object: Map::new(),
            array: Vec::new(),
            rows: Rows::default(),
        }
    }

    fn field(&mut self, field: &Field<'_>, budget: &mut Budget) -> Result<(), DocumentError> {
        self.read += 1;
        if self.has_header && self.width.is_none() {
            return self.name(field.text, budget);
        }
        if self.width.is_some_and(|width| self.read > width) {
            // The end of the record says how many there are.
            return Ok(());
        }
        budget.text(field.text.len())?;
        if !self.has_header {
            return Ok(budget.push(&mut self.array, field.text.into())?);
        }
        match self.names.get(self.read - 1) {
            Some(name) if !name.is_empty() => {
                budget.member(self.object.len())?;
                budget.text(name.len())?;
                self.object.insert(name.clone(), field.text.into());
            }
            // A column without a name is left out.
            _ => {}
        }
        Ok(())
    }

    /// The name of a column. `#` before the first one is no part of it: HAProxy writes `# pxname`.
    fn name(&mut self, text: &str, budget: &mut Budget) -> Result<(), DocumentError> {
        let text = match self.names.is_empty() {
            true => text.trim_start_matches('#').trim_start(),
            false => text,
        };
        // The list of them doubles its room, and a set of them is made to find two of one name.
        budget.take(NAME_BYTES)?;
        budget.text(text.len())?;
        self.names.push(text.to_owned());
        Ok(())
    }

    /// A record has ended.
    fn end(&mut self, line: u64, budget: &mut Budget) -> Result<(), DocumentError> {
        let read = std::mem::take(&mut self.read);
        let Some(width) = self.width else {
            self.width = Some(read);
            return match self.has_header {
                true => check_names(&self.names, line),
                false => self.row(budget),
            };
        };
        if read != width {
            let reason = format!("it has {read} fields, and the first record has {width}");
            return Err(wrong(line, reason));
        }
        self.row(budget)
    }

    fn row(&mut self, budget: &mut Budget) -> Result<(), DocumentError> {
        let row = match self.has_header {
            true => Value::Object(std::mem::take(&mut self.object)),
            false => Value::Array(std::mem::take(&mut self.array)),
        };
        self.rows.push(row, budget)
    }
}

/// What a name takes beside its text: its places in the list, while that grows, and in a set.
const NAME_BYTES: u64 = 24 * 3 + 40;

fn check_names(names: &[String], line: u64) -> Result<(), DocumentError> {
    let mut known = BTreeSet::new();
    let mut named = names.iter().filter(|name| !name.is_empty());
    match named.find(|name| !known.insert(name.as_str())) {
        Some(twice) => {
            let reason =
                format!("two columns are called {twice:?}; write `csv: {{header: false}}`");
            Err(wrong(line, reason))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const PLAIN: CsvFormat = CsvFormat {
        delimiter: b',',
        comment: None,
        header: true,
    };

    fn read(text: &str, format: &CsvFormat) -> Result<Value, String> {
        parse(text, format, &mut Budget::new(1 << 20)).map_err(|error| match error {
            DocumentError::Csv(error) => error.to_string(),
            other => other.to_string(),
        })
    }

    #[test]
    fn records_are_objects_or_arrays() {
        let haproxy = "# pxname, svname,scur,\nhttp,FRONTEND,3,\n\"a, b\",\"say \"\"x\"\"\",4,\n";
        let expected = json!([
            {"pxname": "http", "svname": "FRONTEND", "scur": "3"},
            {"pxname": "a, b", "svname": "say \"x\"", "scur": "4"},
        ]);
        assert_eq!(read(haproxy, &PLAIN), Ok(expected));
        let format = CsvFormat {
            delimiter: b';',
            comment: Some(b'%'),
            header: false,
        };
        let text = "% made today\na;1\n\n\"b\nc\"; 2 ";
        assert_eq!(read(text, &format), Ok(json!([["a", "1"], ["b\nc", "2"]])));
        assert_eq!(read("a,b\n", &PLAIN), Ok(json!([])));
    }

    #[test]
    fn a_record_that_does_not_fit_is_named() {
        for (text, expected) in [
            (
                "a,b\n1,2\n3\n",
                "line 3: it has 1 fields, and the first record has 2",
            ),
            (
                "a,b\n\"1\n1\",2\n3,4,5\n",
                "line 4: it has 3 fields, and the first record has 2",
            ),
            (
                "a,a\n",
                "line 1: two columns are called \"a\"; write `csv: {header: false}`",
            ),
        ] {
            assert_eq!(read(text, &PLAIN).unwrap_err(), expected);
        }
    }

    #[test]
    fn no_table_takes_more_than_its_budget() {
        const LIMIT: usize = 64 * 1024;
        for text in [
            format!("a,b\n{}", "1,2\n".repeat(LIMIT / 4 - 1)),
            format!("a\n\"{}\"\n", "x".repeat(LIMIT - 6)),
            format!("{}\n", "a,".repeat(LIMIT / 2 - 1)),
            (0..LIMIT / 8).map(|n| format!("c{n},")).collect(),
        ] {
            for header in [true, false] {
                let format = CsvFormat { header, ..PLAIN };
                let mut budget = Budget::new(LIMIT as u64 * 7);
                let mut read = None;
                let info = allocation_counter::measure(|| {
                    read = Some(parse(&text, &format, &mut budget));
                });
                assert!(
                    info.bytes_max <= LIMIT as u64 * 7 + 32 * 1024,
                    "{} {read:?}",
                    info.bytes_max
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", header: bool) {
            let format = CsvFormat { header, ..PLAIN };
            drop(read(&text, &format));
        }
    }
}

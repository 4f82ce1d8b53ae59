//! The SOQL subset of the bridge: parent paths, one level of child queries, conditions, paging.
mod compare;
mod parse;
mod token;

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use self::compare::{compare, rank};
pub(crate) use self::parse::Condition;
pub(crate) use self::parse::parse;
use self::parse::{Column, OrderBy, Query};
use super::{
    ids,
    records::{Record, Records},
    rules::Refusal,
    shape::{self, Kind, Object},
};

/// Data that a query can access.
pub(crate) struct QueryContext<'a> {
    pub(crate) records: &'a Records,
    pub(crate) has: &'a dyn Fn(&str, &str) -> bool,
    pub(crate) version: &'a str,
    /// Whether deleted rows are found too.
    pub(crate) deleted: bool,
}

/// The result of a query: shaped records, or only the count.
pub(crate) enum Found {
    Rows(Vec<Value>),
    Count(usize),
}

/// Foreign key and relationship of each parent step.
type Steps = Vec<(&'static str, &'static str)>;

fn invalid_field(object: &Object, name: &str) -> Refusal {
    Refusal::bad(
        "INVALID_FIELD",
        format!(
            "No such column '{name}' on entity '{}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name.",
            object.name
        ),
    )
}

impl QueryContext<'_> {
    pub(crate) fn run(&self, query: &Query) -> Result<Found, Refusal> {
        let object = shape::object(&query.from).ok_or_else(|| {
            Refusal::bad(
                "INVALID_TYPE",
                format!("sObject type '{}' is not supported.", query.from),
            )
        })?;
        let rows = self.select(object, query, None)?;
        if query.columns == [Column::Count] {
            return Ok(Found::Count(rows.len()));
        }
        let shaped = rows.iter().map(|row| self.shape(row, query));
        Ok(Found::Rows(shaped.collect::<Result<_, _>>()?))
    }

    fn select(
        &self,
        object: &'static Object,
        query: &Query,
        child_of: Option<(&'static str, &Record)>,
    ) -> Result<Vec<&Record>, Refusal> {
        self.check(object, query)?;
        let mut rows = Vec::new();
        // Most queries name the row.
        let mut candidates: Vec<&Record> = match (child_of, named_id(query.condition.as_ref())) {
            (Some((key, parent)), _) => {
                let children = self.records.having(object, key, parent.get("Id"));
                children.collect()
            }
            (None, Some(id)) => self
                .records
                .get(&id)
                .filter(|row| row.object.name == object.name)
                .into_iter()
                .collect(),
            (None, None) => self.records.of(object).collect(),
        };
        if self.deleted {
            let deleted = self.records.deleted_of(object);
            candidates.extend(deleted.filter(|row| {
                child_of.is_none_or(|(key, parent)| row.get(key) == parent.get("Id"))
            }));
        }
        for row in candidates {
            let fits = match &query.condition {
                Some(condition) => self.holds(row, condition)?,
                None => true,
            };
            if fits {
                rows.push(row);
            }
        }
        rows.sort_by(|left, right| self.compare_rows(left, right, &query.order));
        let rows = rows.into_iter().skip(query.offset);
        Ok(rows.take(query.limit.unwrap_or(usize::MAX)).collect())
    }

    /// Names are checked even if no row matches.
    fn check(&self, object: &'static Object, query: &Query) -> Result<(), Refusal> {
        for column in &query.columns {
            match column {
                Column::Path(path) => self.resolve(object, path).map(|_| ())?,
                Column::Child(child) => {
                    self.child(object, child)?;
                }
                Column::Count => {}
            }
        }
        for order in &query.order {
            self.resolve(object, &order.path)?;
        }
        Ok(())
    }

    fn child(
        &self,
        object: &Object,
        query: &Query,
    ) -> Result<(&'static Object, &'static str), Refusal> {
        let known = object
            .children
            .iter()
            .find(|(name, ..)| name.eq_ignore_ascii_case(&query.from));
        let (target, key) = known
            .and_then(|(_, child, key)| Some((shape::object(child)?, *key)))
            .ok_or_else(|| {
                Refusal::bad(
                    "INVALID_TYPE",
                    format!(
                        "Didn't understand relationship '{}' in FROM part of query call.",
                        query.from
                    ),
                )
            })?;
        self.check(target, query)?;
        Ok((target, key))
    }

    /// Resolves a path to parent steps and a field.
    fn resolve(
        &self,
        object: &'static Object,
        path: &[String],
    ) -> Result<(Steps, &'static shape::Field), Refusal> {
        let mut at = object;
        let mut steps = Vec::new();
        // `Order.Status` on Order itself is allowed and means `Status`.
        let path = match path {
            [first, rest @ ..]
                if !rest.is_empty()
                    && first.eq_ignore_ascii_case(object.name)
                    && object.parent(first).is_none() =>
            {
                rest
            }
            _ => path,
        };
        let Some((last, parents)) = path.split_last() else {
            return Err(invalid_field(object, ""));
        };
        for step in parents {
            let (field, parent) = at.parent(step).ok_or_else(|| {
                Refusal::bad(
                    "INVALID_FIELD",
                    format!("Didn't understand relationship '{step}' in field path."),
                )
            })?;
            let Kind::Reference(_, relationship) = field.kind else {
                return Err(invalid_field(at, step));
            };
            steps.push((field.name, relationship));
            at = parent;
        }
        let field = at
            .field(last)
            .filter(|field| (self.has)(at.name, field.name))
            .ok_or_else(|| invalid_field(at, last))?;
        Ok((steps, field))
    }

    fn value<'a>(
        &'a self,
        row: &'a Record,
        path: &[String],
    ) -> Result<(&'a Value, &'static shape::Field), Refusal> {
        let (steps, field) = self.resolve(row.object, path)?;
        let mut at = Some(row);
        for (key, _) in steps {
            at = at
                .and_then(|row| row.text(key))
                .and_then(|id| self.records.get(id));
        }
        Ok((at.map_or(&Value::Null, |row| row.get(field.name)), field))
    }

    fn holds(&self, row: &Record, condition: &Condition) -> Result<bool, Refusal> {
        Ok(match condition {
            Condition::And(all) => {
                let mut every = true;
                for one in all {
                    every &= self.holds(row, one)?;
                }
                every
            }
            Condition::Or(all) => {
                let mut some = false;
                for one in all {
                    some |= self.holds(row, one)?;
                }
                some
            }
            Condition::Not(inner) => !self.holds(row, inner)?,
            Condition::Compare(path, operator, wanted) => {
                let (value, field) = self.value(row, path)?;
                compare(field, value, operator, wanted)?
            }
            Condition::In(path, negated, wanted) => {
                let (value, field) = self.value(row, path)?;
                let mut hit = false;
                for one in wanted {
                    hit |= compare(field, value, "=", one)?;
                }
                hit != *negated
            }
        })
    }

    fn compare_rows(&self, left: &Record, right: &Record, order: &[OrderBy]) -> Ordering {
        for by in order {
            let (Ok((a, field)), Ok((b, _))) =
                (self.value(left, &by.path), self.value(right, &by.path))
            else {
                continue;
            };
            let ordering = match (a.is_null(), b.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if by.nulls_last => return Ordering::Greater,
                (false, true) if by.nulls_last => return Ordering::Less,
                (true, false) => return Ordering::Less,
                (false, true) => return Ordering::Greater,
                _ => rank(field, a, b),
            };
            let ordering = if by.descending {
                ordering.reverse()
            } else {
                ordering
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    }

    fn shape(&self, row: &Record, query: &Query) -> Result<Value, Refusal> {
        let mut out = Map::new();
        out.insert("attributes".to_owned(), self.attributes(row));
        for column in &query.columns {
            match column {
                Column::Path(path) => {
                    let (steps, field) = self.resolve(row.object, path)?;
                    self.place(&mut out, Some(row), &steps, field);
                }
                Column::Child(child) => {
                    let (target, key) = self.child(row.object, child)?;
                    let rows = self.select(target, child, Some((key, row)))?;
                    let records = rows.iter().map(|row| self.shape(row, child));
                    let records = records.collect::<Result<Vec<_>, _>>()?;
                    let name = row
                        .object
                        .children
                        .iter()
                        .find(|(name, ..)| name.eq_ignore_ascii_case(&child.from))
                        .map_or(child.from.as_str(), |(name, ..)| name);
                    let value = if records.is_empty() {
                        Value::Null
                    } else {
                        json!({"totalSize": records.len(), "done": true, "records": records})
                    };
                    out.insert(name.to_owned(), value);
                }
                Column::Count => {}
            }
        }
        Ok(Value::Object(out))
    }

    fn place(
        &self,
        out: &mut Map<String, Value>,
        row: Option<&Record>,
        steps: &[(&'static str, &'static str)],
        field: &shape::Field,
    ) {
        let Some(((key, relationship), rest)) = steps.split_first() else {
            let value = row.map_or(Value::Null, |row| row.get(field.name).clone());
            out.insert(field.name.to_owned(), value);
            return;
        };
        let parent = row
            .and_then(|row| row.text(key))
            .and_then(|id| self.records.get(id));
        match parent {
            None => {
                out.insert((*relationship).to_owned(), Value::Null);
            }
            Some(parent) => {
                let nested = out
                    .entry((*relationship).to_owned())
                    .or_insert_with(|| json!({"attributes": self.attributes(parent)}));
                if let Value::Object(nested) = nested {
                    self.place(nested, Some(parent), rest, field);
                }
            }
        }
    }

    pub(crate) fn attributes(&self, row: &Record) -> Value {
        json!({
            "type": row.object.name,
            "url": format!("/services/data/{}/sobjects/{}/{}", self.version, row.object.name, row.id()),
        })
    }
}

/// The id that a query requires at its top level.
fn named_id(condition: Option<&Condition>) -> Option<String> {
    match condition? {
        Condition::Compare(path, operator, Value::String(id))
            if operator == "=" && path.len() == 1 && path[0].eq_ignore_ascii_case("Id") =>
        {
            ids::canonical(id)
        }
        Condition::And(all) => all.iter().find_map(|one| named_id(Some(one))),
        _ => None,
    }
}

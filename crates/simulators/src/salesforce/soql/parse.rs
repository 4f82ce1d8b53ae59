//! SOQL parser.
use serde_json::Value;

use super::{
    super::rules::Refusal,
    token::{Token, malformed, tokens},
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Column {
    Path(Vec<String>),
    Child(Box<Query>),
    Count,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Vec<String>, String, Value),
    In(Vec<String>, bool, Vec<Value>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderBy {
    pub(crate) path: Vec<String>,
    pub(crate) descending: bool,
    pub(crate) nulls_last: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) columns: Vec<Column>,
    pub(crate) from: String,
    pub(crate) condition: Option<Condition>,
    pub(crate) order: Vec<OrderBy>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

pub(crate) fn parse(text: &str) -> Result<Query, Refusal> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
    };
    let query = parser.query()?;
    match parser.peek() {
        None => Ok(query),
        Some(token) => Err(malformed(format!("unexpected token: {token}"))),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, Refusal> {
        let token = self.peek().cloned();
        self.at += 1;
        token.ok_or_else(|| malformed("unexpected end of query"))
    }

    fn keyword(&mut self, word: &str) -> bool {
        let hit =
            matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(hit);
        hit
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let hit = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, word: &str) -> Result<(), Refusal> {
        if self.keyword(word) || self.symbol(word) {
            Ok(())
        } else {
            let found = self.peek().map(ToString::to_string);
            let found = found.unwrap_or_else(|| "the end of the query".to_owned());
            Err(malformed(format!("expecting {word}, found {found}")))
        }
    }

    fn word(&mut self) -> Result<String, Refusal> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => Err(malformed(format!("unexpected token: {other}"))),
        }
    }

    fn path(&mut self) -> Result<Vec<String>, Refusal> {
        Ok(self.word()?.split('.').map(str::to_owned).collect())
    }

    fn query(&mut self) -> Result<Query, Refusal> {
        self.expect("SELECT")?;
        let mut columns = vec![self.column()?];
        while self.symbol(",") {
            columns.push(self.column()?);
        }
        self.expect("FROM")?;
        let from = self.word()?;
        let condition = if self.keyword("WHERE") {
            Some(self.condition()?)
        } else {
            None
        };
        let mut order = Vec::new();
        if self.keyword("ORDER") {
            self.expect("BY")?;
            order.push(self.order_by()?);
            while self.symbol(",") {
                order.push(self.order_by()?);
            }
        }
        let limit = if self.keyword("LIMIT") {
            Some(self.count()?)
        } else {
            None
        };
        let offset = if self.keyword("OFFSET") {
            self.count()?
        } else {
            0
        };
        Ok(Query {
            columns,
            from,
            condition,
            order,
            limit,
            offset,
        })
    }

    fn count(&mut self) -> Result<usize, Refusal> {
        match self.next()? {
            Token::Literal(text) => text.parse().map_err(|_| malformed("expecting a number")),
            other => Err(malformed(format!("unexpected token: {other}"))),
        }
    }

    fn column(&mut self) -> Result<Column, Refusal> {
        if self.symbol("(") {
            let child = self.query()?;
            self.expect(")")?;
            return Ok(Column::Child(Box::new(child)));
        }
        let path = self.path()?;
        if path.len() == 1 && path[0].eq_ignore_ascii_case("COUNT") && self.symbol("(") {
            self.expect(")")?;
            return Ok(Column::Count);
        }
        Ok(Column::Path(path))
    }

    fn order_by(&mut self) -> Result<OrderBy, Refusal> {
        let path = self.path()?;
        let descending = self.keyword("DESC");
        if !descending {
            self.keyword("ASC");
        }
        let mut nulls_last = false;
        if self.keyword("NULLS") {
            nulls_last = self.keyword("LAST");
            if !nulls_last {
                self.expect("FIRST")?;
            }
        }
        Ok(OrderBy {
            path,
            descending,
            nulls_last,
        })
    }

    fn condition(&mut self) -> Result<Condition, Refusal> {
        let first = self.factor()?;
        let mut all = vec![first];
        if matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case("AND")) {
            while self.keyword("AND") {
                all.push(self.factor()?);
            }
            return Ok(Condition::And(all));
        }
        if matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case("OR")) {
            while self.keyword("OR") {
                all.push(self.factor()?);
            }
            return Ok(Condition::Or(all));
        }
        Ok(all.remove(0))
    }

    fn factor(&mut self) -> Result<Condition, Refusal> {
        if self.keyword("NOT") {
            return Ok(Condition::Not(Box::new(self.factor()?)));
        }
        if self.symbol("(") {
            let inner = self.condition()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        let negated = self.keyword("NOT");
        if self.keyword("IN") {
            self.expect("(")?;
            let mut values = vec![self.literal()?];
            while self.symbol(",") {
                values.push(self.literal()?);
            }
            self.expect(")")?;
            return Ok(Condition::In(path, negated, values));
        }
        if negated {
            return Err(malformed("unexpected token: 'NOT'"));
        }
        if self.keyword("LIKE") {
            return Ok(Condition::Compare(path, "like".to_owned(), self.literal()?));
        }
        match self.next()? {
            Token::Symbol(symbol) if ["=", "!=", "<", ">", "<=", ">="].contains(&symbol) => {
                Ok(Condition::Compare(path, symbol.to_owned(), self.literal()?))
            }
            other => Err(malformed(format!("unexpected token: {other}"))),
        }
    }

    fn literal(&mut self) -> Result<Value, Refusal> {
        match self.next()? {
            Token::Text(text) => Ok(Value::from(text)),
            Token::Literal(text) => Ok(text
                .parse::<f64>()
                .map_or_else(|_| Value::from(text), Value::from)),
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "null" => Ok(Value::Null),
                "true" => Ok(Value::from(true)),
                "false" => Ok(Value::from(false)),
                _ => Err(malformed(format!("unexpected token: '{word}'"))),
            },
            Token::Symbol(symbol) => Err(malformed(format!("unexpected token: '{symbol}'"))),
        }
    }
}

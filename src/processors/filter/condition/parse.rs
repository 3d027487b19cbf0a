//! From words to a condition.

use opentelemetry::Value;

use super::{
    Condition, ConditionError, Operand, Scope,
    token::{Kind, Token, tokens},
};
use crate::settings::Pattern;

/// The most parentheses and `not` within one another.
const DEPTH_MAX: usize = 50;

const PATHS: &str = "name, unit, type, attributes[\"…\"], resource.attributes[\"…\"]";

pub(super) fn parse(text: &str, scope: Scope) -> Result<Condition, ConditionError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        scope,
    };
    let condition = parser.any()?;
    match &parser.peek().kind {
        Kind::End => Ok(condition),
        other => parser.expected("`and`, `or` or the end", other.clone()),
    }
}

struct Parser {
    /// The last one is the end.
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    scope: Scope,
}

type Parsed<T> = Result<T, ConditionError>;

impl Parser {
    fn any(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.all()?];
        while self.takes_word("or") {
            all.push(self.all()?);
        }
        Ok(Condition::Any(all))
    }

    fn all(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.one()?];
        while self.takes_word("and") {
            all.push(self.one()?);
        }
        Ok(Condition::All(all))
    }

    fn one(&mut self) -> Parsed<Condition> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.error("nested too deep");
        }
        let condition = if self.takes_word("not") {
            Condition::Not(Box::new(self.one()?))
        } else if self.takes_sign("(") {
            let inner = self.any()?;
            self.sign(")")?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        let token = self.peek().clone();
        let is_call = self
            .tokens
            .get(self.next + 1)
            .is_some_and(|t| t.kind.is_sign("("));
        match &token.kind {
            Kind::End => return self.expected("a condition", Kind::End),
            Kind::Word(name) if is_call => return self.call(name),
            _ => {}
        }
        let left = self.operand()?;
        let sign = self.peek().clone();
        match &sign.kind {
            Kind::Sign(sign) if ["==", "!="].contains(&sign.as_str()) => {
                self.next += 1;
                let equal = Condition::Equal(left, self.operand()?);
                Ok(match sign.as_str() {
                    "==" => equal,
                    _ => Condition::Not(Box::new(equal)),
                })
            }
            Kind::Sign(sign) if ["<", ">", "<=", ">="].contains(&sign.as_str()) => {
                self.error(format!("`{sign}` is not supported, only `==` and `!=`"))
            }
            other => match left {
                Operand::Value(Value::Bool(known)) => Ok(Condition::Known(known)),
                _ => self.expected("`==`", other.clone()),
            },
        }
    }

    fn call(&mut self, name: &str) -> Parsed<Condition> {
        if name != "IsMatch" {
            let message = format!("the function `{name}` is not supported, only IsMatch");
            return self.error(message);
        }
        self.next += 2;
        let of = self.operand()?;
        self.sign(",")?;
        let token = self.peek().clone();
        let Kind::Text(text) = token.kind else {
            return self.expected("a regular expression in quotes", token.kind);
        };
        let pattern = match text.parse::<Pattern>() {
            Ok(pattern) => pattern,
            Err(error) => return self.error(error.to_string()),
        };
        self.next += 1;
        self.sign(")")?;
        Ok(Condition::IsMatch(of, pattern.get().clone()))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let token = self.peek().clone();
        let operand = match &token.kind {
            Kind::Text(text) => Operand::Value(text.clone().into()),
            Kind::Number(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(value), _) => Operand::Value(value.into()),
                (_, Ok(value)) => Operand::Value(value.into()),
                _ => return self.expected("a number", token.kind.clone()),
            },
            Kind::Word(word) => return self.path(word),
            other => return self.expected("a path or a value", other.clone()),
        };
        self.next += 1;
        Ok(operand)
    }

    fn path(&mut self, word: &str) -> Parsed<Operand> {
        let keyed = match word {
            "attributes" | "datapoint.attributes" if self.scope == Scope::Metric => {
                return self.error("a metric has no attributes of its own: use `datapoint`");
            }
            "attributes" | "datapoint.attributes" => Some(Operand::Attribute as fn(_) -> _),
            "resource.attributes" => Some(Operand::Resource as fn(_) -> _),
            _ => None,
        };
        if let Some(keyed) = keyed {
            self.next += 1;
            return Ok(keyed(self.key()?));
        }
        let operand = match word {
            "name" | "metric.name" => Operand::Name,
            "unit" | "metric.unit" => Operand::Unit,
            "type" | "metric.type" => Operand::Type,
            "nil" => Operand::Nil,
            "true" => Operand::Value(true.into()),
            "false" => Operand::Value(false.into()),
            "METRIC_DATA_TYPE_GAUGE" | "METRIC_DATA_TYPE_SUM" | "METRIC_DATA_TYPE_HISTOGRAM" => {
                Operand::Value(word.to_owned().into())
            }
            _ => return self.error(format!("`{word}` is not supported: {PATHS}")),
        };
        self.next += 1;
        Ok(operand)
    }

    /// `["key"]`.
    fn key(&mut self) -> Parsed<String> {
        self.sign("[")?;
        let token = self.peek().clone();
        let Kind::Text(key) = token.kind else {
            return self.expected("a key in quotes", token.kind);
        };
        self.next += 1;
        self.sign("]")?;
        Ok(key)
    }

    fn peek(&self) -> &Token {
        const END: &Token = &Token {
            at: 1,
            kind: Kind::End,
        };
        self.tokens
            .get(self.next)
            .or(self.tokens.last())
            .unwrap_or(END)
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let takes = self.peek().kind.is_word(word);
        self.next += usize::from(takes);
        takes
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let takes = self.peek().kind.is_sign(sign);
        self.next += usize::from(takes);
        takes
    }

    fn sign(&mut self, sign: &str) -> Parsed<()> {
        if self.takes_sign(sign) {
            return Ok(());
        }
        let found = self.peek().kind.clone();
        self.expected(&format!("`{sign}`"), found)
    }

    fn expected<T>(&self, what: &str, found: Kind) -> Parsed<T> {
        self.error(format!("expected {what}, found {}", found.show()))
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ConditionError {
            at: self.peek().at,
            message: message.into(),
        })
    }
}

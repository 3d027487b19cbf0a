//! A program that cannot run away.
//!
//! Nothing stops a jq filter from the outside, so it is rewritten before it is compiled: each
//! definition, each loop over items and each operation that makes values larger calls a filter of
//! ours (`natives.rs`), which passes its input on and ends the run where too much was done. All that
//! a program calls goes the same way, the standard library as well.

use std::sync::LazyLock;

use jaq_core::{
    load::{
        lex::{Lexer, StrPart},
        parse::{BinaryOp, Def, Parser, Pattern, Term},
    },
    ops::Math,
    path::{Opt, Part, Path},
};

use super::natives::{ADD, BOUNDED, FLAT, MUL, STEP};

/// What the program is called among the definitions.
pub(super) const MAIN: &str = "__main";

/// What the right side of an assignment is called.
const RIGHT: &str = "$(right)";

/// Definitions of the standard library that reach outside of the program.
const OUTSIDE: [&str; 4] = ["debug", "stderr", "halt", "halt_error"];

type Program<'s> = Term<&'s str>;

static PRELUDE: LazyLock<Vec<Def<&'static str>>> = LazyLock::new(|| {
    let all = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    all.filter(|def| !OUTSIDE.contains(&def.name)).collect()
});

/// The same, guarded.
static GUARDED: LazyLock<Vec<Def<&'static str>>> =
    LazyLock::new(|| PRELUDE.iter().cloned().map(guarded_def).collect());

/// The standard library.
pub(super) fn prelude() -> Vec<Def<&'static str>> {
    PRELUDE.clone()
}

/// The standard library, guarded, and a program.
pub(super) fn guarded_prelude(main: Program<'_>) -> Vec<Def<&str>> {
    let mut all: Vec<Def<&str>> = GUARDED.clone();
    all.push(Def {
        name: MAIN,
        args: Vec::new(),
        body: guarded(main),
    });
    all
}

/// A program that was read once already.
pub(super) fn main(text: &str) -> Option<Program<'_>> {
    let tokens = Lexer::new(text).lex().ok()?;
    Parser::new(&tokens).parse(|parser| parser.term()).ok()
}

fn guarded_def(def: Def<&str>) -> Def<&str> {
    let Def { name, args, body } = def;
    let body = then(call(STEP), guarded(body));
    Def { name, args, body }
}

/// Rewrites a term.
fn guarded<'s>(term: Program<'s>) -> Program<'s> {
    match term {
        Term::Recurse => then(Term::Recurse, call(STEP)),
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(part).collect()),
        Term::Arr(items) => then(Term::Arr(items.map(boxed)), call(FLAT)),
        Term::Obj(members) if members.is_empty() => Term::Obj(members),
        Term::Obj(members) => then(
            Term::Obj(members.into_iter().map(member).collect()),
            call(FLAT),
        ),
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::BinOp(left, operator, right) => operation(*left, operator, *right),
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Fold(kind, over, pattern, terms) => Term::Fold(
            kind,
            Box::new(then(guarded(*over), call(STEP))),
            guarded_pattern(pattern),
            terms.into_iter().map(guarded).collect(),
        ),
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), catch.map(boxed)),
        Term::IfThenElse(cases, otherwise) => Term::IfThenElse(
            cases
                .into_iter()
                .map(|(condition, term)| (guarded(condition), guarded(term)))
                .collect(),
            otherwise.map(boxed),
        ),
        Term::Def(defs, inner) => {
            Term::Def(defs.into_iter().map(guarded_def).collect(), boxed(inner))
        }
        Term::Call(name, arguments) => {
            Term::Call(name, arguments.into_iter().map(guarded).collect())
        }
        Term::Path(from, Path(parts)) => guarded_path(*from, parts),
        Term::Id | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
    }
}

fn boxed(mut term: Box<Program<'_>>) -> Box<Program<'_>> {
    *term = guarded(std::mem::take(&mut *term));
    term
}

/// A path that goes through items takes a step for each of them, and so does one that is not known
/// before: it may be a part of a longer and longer one.
fn guarded_path<'s>(from: Program<'s>, parts: Vec<(Part<Program<'s>>, Opt)>) -> Program<'s> {
    let is_plain = parts
        .iter()
        .all(|(part, _)| matches!(part, Part::Index(Term::Str(..) | Term::Num(_))));
    let parts = parts.into_iter().map(|(part, optional)| {
        let part = match part {
            Part::Index(index) => Part::Index(guarded(index)),
            Part::Range(from, to) => Part::Range(from.map(guarded), to.map(guarded)),
        };
        (part, optional)
    });
    let path = Term::Path(Box::new(guarded(from)), Path(parts.collect()));
    match is_plain {
        true => path,
        false => then(path, call(STEP)),
    }
}

fn operation<'s>(
    left: Program<'s>,
    operator: BinaryOp<&'s str>,
    right: Program<'s>,
) -> Program<'s> {
    let (left, right) = (guarded(left), guarded(right));
    match operator {
        BinaryOp::Math(Math::Add) => Term::Call(ADD, vec![left, right]),
        BinaryOp::Math(Math::Mul) => Term::Call(MUL, vec![left, right]),
        // `l += r` is `r as $x | l |= . + $x`.
        BinaryOp::UpdateMath(of @ (Math::Add | Math::Mul)) => {
            let name = if of == Math::Add { ADD } else { MUL };
            let value = Term::Call(name, vec![Term::Id, Term::Var(RIGHT)]);
            let update = binary(left, BinaryOp::Update, value);
            let bound = BinaryOp::Pipe(Some(Pattern::Var(RIGHT)));
            then(binary(right, bound, update), call(FLAT))
        }
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateAlt | BinaryOp::UpdateMath(_) => {
            then(binary(left, operator, right), call(FLAT))
        }
        BinaryOp::Pipe(pattern) => {
            binary(left, BinaryOp::Pipe(pattern.map(guarded_pattern)), right)
        }
        _ => binary(left, operator, right),
    }
}

fn guarded_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(guarded_pattern).collect()),
        Pattern::Obj(members) => Pattern::Obj(
            members
                .into_iter()
                .map(|(key, pattern)| (guarded(key), guarded_pattern(pattern)))
                .collect(),
        ),
    }
}

/// What is put into a text is of bounded size.
fn part<'s>(part: StrPart<&'s str, Program<'s>>) -> StrPart<&'s str, Program<'s>> {
    match part {
        StrPart::Term(term) => StrPart::Term(then(guarded(term), call(BOUNDED))),
        other => other,
    }
}

/// `{a}` alone is short for `{a: .a}` and stays as it is.
fn member<'s>(
    (key, value): (Program<'s>, Option<Program<'s>>),
) -> (Program<'s>, Option<Program<'s>>) {
    match value {
        Some(value) => (guarded(key), Some(guarded(value))),
        None => (key, None),
    }
}

fn call(name: &str) -> Program<'_> {
    Term::Call(name, Vec::new())
}

fn then<'s>(first: Program<'s>, next: Program<'s>) -> Program<'s> {
    binary(first, BinaryOp::Pipe(None), next)
}

fn binary<'s>(left: Program<'s>, operator: BinaryOp<&'s str>, right: Program<'s>) -> Program<'s> {
    Term::BinOp(Box::new(left), operator, Box::new(right))
}

//! Every function of Sprig by name, in Sprig's order, with its Go parameter types.

use super::argument::{IntoValue, boolean, checked, float, int, int64, list, map, maps, ok, string, strings, uint32};
use super::certificates::{Key, Subject};
use super::dicts::Precedence;
use super::math::to_float;
use super::regex::OnBadPattern::{Panic, Return};
use super::time::time_argument;
use super::{
    argument, casing, certificates, crypto, date, decimal::Decimal, defaults, dicts, encoding, json, lists, math, path,
    random, reflect, regex, semver, strings as text, url,
};
use crate::template::func::{Call, Fault, Func, spend_on_printing};
use crate::value::Type::{Any, AnyList, AnyMap, Bool, Certificate, Float64, Int, String, Time, Uint32};
use crate::value::{Signature, Type, Value};

type Body = fn(&mut Call<'_>, &[Value]) -> Result<Value, Fault>;

/// A function with a fixed number of parameters.
const fn fixed(name: &'static str, parameters: &'static [Type], body: Body) -> Func {
    Func { name, signature: Signature { parameters, variadic: false }, body }
}

/// A function whose last parameter repeats.
const fn variadic(name: &'static str, parameters: &'static [Type], body: Body) -> Func {
    Func { name, signature: Signature { parameters, variadic: true }, body }
}

/// A function that makes something of all that its arguments hold.
fn whole<T: IntoValue>(call: &Call<'_>, name: &str, a: &[Value], make: impl Fn(&[Value]) -> T) -> Result<Value, Fault> {
    spend_on_printing(call.host, name, a)?;
    ok(make(a))
}

/// What a certificate is for: the first four arguments of the functions that make one.
fn subject(a: &[Value]) -> Subject<'_> {
    Subject::new(string(a, 0), list(a, 1), list(a, 2), int(a, 3))
}

/// The functions in Sprig's order. In the bodies `c` is the call and `a` the checked arguments.
#[rustfmt::skip] // one line a function: this is a table
pub static FUNCTIONS: &[Func] = &[
    fixed("hello", &[], |_, _| ok("Hello!")),

    // Dates
    fixed("ago", &[Any], |c, a| ok(date::ago(c.host, &a[0]))),
    fixed("date", &[String, Any], |c, a| ok(date::in_local_zone(c.host, string(a, 0), &a[1]))),
    fixed("date_in_zone", &[String, Any, String], |c, a| ok(date::in_zone(c.host, string(a, 0), &a[1], string(a, 2)))),
    fixed("date_modify", &[String, Time], |_, a| ok(date::modify(string(a, 0), time_argument(a, 1)))),
    fixed("dateInZone", &[String, Any, String], |c, a| ok(date::in_zone(c.host, string(a, 0), &a[1], string(a, 2)))),
    fixed("dateModify", &[String, Time], |_, a| ok(date::modify(string(a, 0), time_argument(a, 1)))),
    fixed("duration", &[Any], |_, a| ok(date::seconds(&a[0]))),
    fixed("durationRound", &[Any], |c, a| ok(date::round(c.host, &a[0]))),
    fixed("htmlDate", &[Any], |c, a| ok(date::html(c.host, &a[0], b"Local"))),
    fixed("htmlDateInZone", &[Any, String], |c, a| ok(date::html(c.host, &a[0], string(a, 1)))),
    fixed("must_date_modify", &[String, Time], |_, a| checked(date::must_modify(string(a, 0), time_argument(a, 1)))),
    fixed("mustDateModify", &[String, Time], |_, a| checked(date::must_modify(string(a, 0), time_argument(a, 1)))),
    fixed("mustToDate", &[String, String], |c, a| checked(date::must_parse(c.host, string(a, 0), string(a, 1)))),
    fixed("now", &[], |c, _| ok(date::now(c.host))),
    fixed("toDate", &[String, String], |c, a| ok(date::parse(c.host, string(a, 0), string(a, 1)))),
    fixed("unixEpoch", &[Time], |_, a| ok(time_argument(a, 0).unix_seconds().to_string())),

    // Strings
    fixed("abbrev", &[Int, String], |_, a| ok(text::abbrev(int(a, 0), string(a, 1)))),
    fixed("abbrevboth", &[Int, Int, String], |_, a| ok(text::abbrevboth(int(a, 0), int(a, 1), string(a, 2)))),
    fixed("trunc", &[Int, String], |_, a| ok(text::trunc(int(a, 0), string(a, 1)))),
    fixed("trim", &[String], |_, a| ok(text::trim(string(a, 0)))),
    fixed("upper", &[String], |_, a| ok(text::upper(string(a, 0)))),
    fixed("lower", &[String], |_, a| ok(text::lower(string(a, 0)))),
    fixed("title", &[String], |_, a| ok(text::title(string(a, 0)))),
    fixed("untitle", &[String], |_, a| ok(text::untitle(string(a, 0)))),
    fixed("substr", &[Int, Int, String], |_, a| checked(text::substr(int(a, 0), int(a, 1), string(a, 2)))),
    fixed("repeat", &[Int, String], |c, a| checked(text::repeat(c.host, int(a, 0), string(a, 1)))),
    fixed("trimall", &[String, String], |_, a| ok(text::trim_all(string(a, 0), string(a, 1)))),
    fixed("trimAll", &[String, String], |_, a| ok(text::trim_all(string(a, 0), string(a, 1)))),
    fixed("trimSuffix", &[String, String], |_, a| ok(text::trim_suffix(string(a, 0), string(a, 1)))),
    fixed("trimPrefix", &[String, String], |_, a| ok(text::trim_prefix(string(a, 0), string(a, 1)))),
    fixed("nospace", &[String], |_, a| ok(text::nospace(string(a, 0)))),
    fixed("initials", &[String], |_, a| ok(text::initials(string(a, 0)))),
    fixed("randAlphaNum", &[Int], |c, a| checked(random::alphanumeric(c.host, int(a, 0)))),
    fixed("randAlpha", &[Int], |c, a| checked(random::alpha(c.host, int(a, 0)))),
    fixed("randAscii", &[Int], |c, a| checked(random::ascii(c.host, int(a, 0)))),
    fixed("randNumeric", &[Int], |c, a| checked(random::numeric(c.host, int(a, 0)))),
    fixed("swapcase", &[String], |_, a| ok(text::swapcase(string(a, 0)))),
    fixed("shuffle", &[String], |c, a| checked(random::shuffle(c.host, string(a, 0)))),
    fixed("snakecase", &[String], |_, a| ok(casing::connected('_', string(a, 0)))),
    fixed("camelcase", &[String], |_, a| ok(casing::pascal(string(a, 0)))),
    fixed("kebabcase", &[String], |_, a| ok(casing::connected('-', string(a, 0)))),
    fixed("wrap", &[Int, String], |_, a| ok(text::wrap(int(a, 0), string(a, 1)))),
    fixed("wrapWith", &[Int, String, String], |c, a| {
        checked(text::wrap_with(c.host, int(a, 0), string(a, 1), string(a, 2)))
    }),
    fixed("contains", &[String, String], |_, a| ok(text::contains(string(a, 0), string(a, 1)))),
    fixed("hasPrefix", &[String, String], |_, a| ok(string(a, 1).starts_with(string(a, 0)))),
    fixed("hasSuffix", &[String, String], |_, a| ok(string(a, 1).ends_with(string(a, 0)))),
    variadic("quote", &[Any], |c, a| whole(c, "quote", a, text::quote)),
    variadic("squote", &[Any], |c, a| whole(c, "squote", a, text::squote)),
    variadic("cat", &[Any], |c, a| whole(c, "cat", a, text::cat)),
    fixed("indent", &[Int, String], |c, a| checked(text::indent(c.host, int(a, 0), string(a, 1)))),
    fixed("nindent", &[Int, String], |c, a| checked(text::nindent(c.host, int(a, 0), string(a, 1)))),
    fixed("replace", &[String, String, String], |c, a| {
        checked(text::replace(c.host, string(a, 0), string(a, 1), string(a, 2)))
    }),
    fixed("plural", &[String, String, Int], |_, a| ok(text::plural(string(a, 0), string(a, 1), int(a, 2)))),
    fixed("sha1sum", &[String], |_, a| ok(encoding::sha1sum(string(a, 0)))),
    fixed("sha256sum", &[String], |_, a| ok(encoding::sha256sum(string(a, 0)))),
    fixed("sha512sum", &[String], |_, a| ok(encoding::sha512sum(string(a, 0)))),
    fixed("adler32sum", &[String], |_, a| ok(encoding::adler32sum(string(a, 0)))),
    fixed("toString", &[Any], |c, a| whole(c, "toString", a, |a| Value::Str(text::strval(&a[0])))),

    // Conversion
    fixed("atoi", &[String], |_, a| ok(math::atoi(string(a, 0)))),
    fixed("int64", &[Any], |_, a| int64(math::to_int(&a[0]))),
    fixed("int", &[Any], |_, a| ok(Value::int(math::to_int(&a[0])))),
    fixed("float64", &[Any], |_, a| ok(to_float(&a[0]))),
    variadic("seq", &[Int], |c, a| {
        checked(math::seq(c.host, &(0..a.len()).map(|i| int(a, i)).collect::<Vec<_>>()))
    }),
    fixed("toDecimal", &[Any], |c, a| whole(c, "toDecimal", a, |a| Value::int64(math::to_decimal(&a[0])))),

    fixed("split", &[String, String], |c, a| checked(text::split(c.host, string(a, 0), string(a, 1)))),
    fixed("splitList", &[String, String], |c, a| checked(text::split_list(c.host, string(a, 0), string(a, 1)))),
    fixed("splitn", &[String, Int, String], |c, a| checked(text::splitn(c.host, string(a, 0), int(a, 1), string(a, 2)))),
    fixed("toStrings", &[Any], |c, a| whole(c, "toStrings", a, |a| text::string_list(&a[0]))),

    fixed("until", &[Int], |c, a| checked(math::until(c.host, int(a, 0)))),
    fixed("untilStep", &[Int, Int, Int], |c, a| checked(math::until_step(c.host, int(a, 0), int(a, 1), int(a, 2)))),

    // Arithmetic
    fixed("add1", &[Any], |_, a| int64(math::to_int(&a[0]).wrapping_add(1))),
    variadic("add", &[Any], |_, a| int64(math::add(a))),
    fixed("sub", &[Any, Any], |_, a| int64(math::sub(&a[0], &a[1]))),
    fixed("div", &[Any, Any], |_, a| int64(math::div(&a[0], &a[1])?)),
    fixed("mod", &[Any, Any], |_, a| int64(math::modulo(&a[0], &a[1])?)),
    variadic("mul", &[Any, Any], |_, a| int64(math::mul(a))),
    fixed("randInt", &[Int, Int], |c, a| ok(Value::int(random::int(c.host, int(a, 0), int(a, 1))?))),
    fixed("add1f", &[Any], |c, a| checked(math::decimals(c.host, to_float(&a[0]), &[Value::int(1)], Decimal::add))),
    variadic("addf", &[Any], |c, a| checked(math::decimals(c.host, 0.0, a, Decimal::add))),
    variadic("subf", &[Any, Any], |c, a| checked(math::decimals(c.host, to_float(&a[0]), &a[1..], Decimal::subtract))),
    variadic("divf", &[Any, Any], |c, a| checked(math::decimals(c.host, to_float(&a[0]), &a[1..], Decimal::divide))),
    variadic("mulf", &[Any, Any], |c, a| checked(math::decimals(c.host, to_float(&a[0]), &a[1..], Decimal::multiply))),
    variadic("biggest", &[Any, Any], |_, a| int64(math::max(a))),
    variadic("max", &[Any, Any], |_, a| int64(math::max(a))),
    variadic("min", &[Any, Any], |_, a| int64(math::min(a))),
    variadic("maxf", &[Any, Any], |_, a| ok(math::maxf(a))),
    variadic("minf", &[Any, Any], |_, a| ok(math::minf(a))),
    fixed("ceil", &[Any], |_, a| ok(to_float(&a[0]).ceil())),
    fixed("floor", &[Any], |_, a| ok(to_float(&a[0]).floor())),
    variadic("round", &[Any, Int, Float64], |_, a| {
        ok(math::round(&a[0], int(a, 1), (a.len() > 2).then(|| float(a, 2))))
    }),

    fixed("join", &[String, Any], |c, a| checked(text::join(c.host, string(a, 0), &a[1]))),
    fixed("sortAlpha", &[Any], |c, a| whole(c, "sortAlpha", a, |a| text::sort_alpha(&a[0]))),

    // Defaults
    variadic("default", &[Any, Any], |_, a| ok(defaults::default(&a[0], &a[1..]))),
    fixed("empty", &[Any], |_, a| ok(!a[0].is_true())),
    variadic("coalesce", &[Any], |_, a| ok(defaults::coalesce(a))),
    variadic("all", &[Any], |_, a| ok(a.iter().all(Value::is_true))),
    variadic("any", &[Any], |_, a| ok(a.iter().any(Value::is_true))),
    fixed("compact", &[Any], |_, a| checked(lists::compact(&a[0]))),
    fixed("mustCompact", &[Any], |_, a| checked(lists::compact(&a[0]))),
    fixed("fromJson", &[String], |_, a| ok(json::parse(string(a, 0)).unwrap_or(Value::Nil))),
    fixed("toJson", &[Any], |c, a| json::written(c, "toJson", &a[0], |v| Ok(json::compact(v).unwrap_or_default()))),
    fixed("toPrettyJson", &[Any], |c, a| json::written(c, "toPrettyJson", &a[0], |v| Ok(json::pretty(v).unwrap_or_default()))),
    fixed("toRawJson", &[Any], |c, a| json::written(c, "toRawJson", &a[0], json::raw)),
    fixed("mustFromJson", &[String], |_, a| checked(json::parse(string(a, 0)))),
    fixed("mustToJson", &[Any], |c, a| json::written(c, "mustToJson", &a[0], json::compact)),
    fixed("mustToPrettyJson", &[Any], |c, a| json::written(c, "mustToPrettyJson", &a[0], json::pretty)),
    fixed("mustToRawJson", &[Any], |c, a| json::written(c, "mustToRawJson", &a[0], json::raw)),
    fixed("ternary", &[Any, Any, Bool], |_, a| ok(a[usize::from(!boolean(a, 2))].clone())),
    fixed("deepCopy", &[Any], |c, a| dicts::deep_copy(c.host, &a[0])),
    fixed("mustDeepCopy", &[Any], |c, a| dicts::deep_copy(c.host, &a[0])),

    // Reflection
    fixed("typeOf", &[Any], |_, a| ok(a[0].type_name())),
    fixed("typeIs", &[String, Any], |_, a| ok(a[1].type_name().as_bytes() == string(a, 0))),
    fixed("typeIsLike", &[String, Any], |_, a| ok(reflect::type_is_like(string(a, 0), &a[1]))),
    fixed("kindOf", &[Any], |_, a| ok(reflect::kind_name(a[0].kind()))),
    fixed("kindIs", &[String, Any], |_, a| ok(reflect::kind_name(a[1].kind()).as_bytes() == string(a, 0))),
    fixed("deepEqual", &[Any, Any], |c, a| checked(reflect::deep_equal(c.host, &a[0], &a[1]))),

    // Network: without EnableDNS Helm answers with the empty string.
    fixed("getHostByName", &[String], |_, _| ok("")),

    // Paths
    fixed("base", &[String], |_, a| ok(path::base(string(a, 0)))),
    fixed("dir", &[String], |_, a| ok(path::dir(string(a, 0)))),
    fixed("clean", &[String], |_, a| ok(path::clean(string(a, 0)))),
    fixed("ext", &[String], |_, a| ok(path::ext(string(a, 0)))),
    fixed("isAbs", &[String], |_, a| ok(path::is_abs(string(a, 0)))),
    fixed("osBase", &[String], |_, a| ok(path::base(string(a, 0)))),
    fixed("osClean", &[String], |_, a| ok(path::clean(string(a, 0)))),
    fixed("osDir", &[String], |_, a| ok(path::dir(string(a, 0)))),
    fixed("osExt", &[String], |_, a| ok(path::ext(string(a, 0)))),
    fixed("osIsAbs", &[String], |_, a| ok(path::is_abs(string(a, 0)))),

    // Encoding
    fixed("b64enc", &[String], |_, a| ok(encoding::b64enc(string(a, 0)))),
    fixed("b64dec", &[String], |_, a| ok(encoding::b64dec(string(a, 0)))),
    fixed("b32enc", &[String], |_, a| ok(encoding::b32enc(string(a, 0)))),
    fixed("b32dec", &[String], |_, a| ok(encoding::b32dec(string(a, 0)))),

    // Data structures
    variadic("tuple", &[Any], |_, a| ok(a.to_vec())),
    variadic("list", &[Any], |_, a| ok(a.to_vec())),
    variadic("dict", &[Any], |c, a| checked(dicts::dict(c.host, a))),
    fixed("get", &[AnyMap, String], |_, a| ok(dicts::get(&map(a, 0), string(a, 1)))),
    fixed("set", &[AnyMap, String, Any], |c, a| checked(dicts::set(c.host, map(a, 0), string(a, 1), &a[2]))),
    fixed("unset", &[AnyMap, String], |_, a| ok(dicts::unset(map(a, 0), string(a, 1)))),
    fixed("hasKey", &[AnyMap, String], |_, a| ok(dicts::has_key(&map(a, 0), string(a, 1)))),
    variadic("pluck", &[String, AnyMap], |_, a| ok(dicts::pluck(string(a, 0), &maps(a, 1)))),
    variadic("keys", &[AnyMap], |_, a| ok(dicts::keys(&maps(a, 0)))),
    variadic("pick", &[AnyMap, String], |_, a| ok(dicts::pick(&map(a, 0), &strings(a, 1)))),
    variadic("omit", &[AnyMap, String], |_, a| ok(dicts::omit(&map(a, 0), &strings(a, 1)))),
    variadic("merge", &[AnyMap, AnyMap], |c, a| {
        dicts::merge_or_empty(c.host, Precedence::Destination, map(a, 0), &maps(a, 1))
    }),
    variadic("mergeOverwrite", &[AnyMap, AnyMap], |c, a| {
        dicts::merge_or_empty(c.host, Precedence::Source, map(a, 0), &maps(a, 1))
    }),
    variadic("mustMerge", &[AnyMap, AnyMap], |c, a| {
        checked(dicts::merge(c.host, Precedence::Destination, map(a, 0), &maps(a, 1)))
    }),
    variadic("mustMergeOverwrite", &[AnyMap, AnyMap], |c, a| {
        checked(dicts::merge(c.host, Precedence::Source, map(a, 0), &maps(a, 1)))
    }),
    fixed("values", &[AnyMap], |_, a| ok(dicts::values(&map(a, 0)))),

    fixed("append", &[Any, Any], |c, a| checked(lists::push(c.host, &a[0], &a[1]))),
    fixed("push", &[Any, Any], |c, a| checked(lists::push(c.host, &a[0], &a[1]))),
    fixed("mustAppend", &[Any, Any], |c, a| checked(lists::push(c.host, &a[0], &a[1]))),
    fixed("mustPush", &[Any, Any], |c, a| checked(lists::push(c.host, &a[0], &a[1]))),
    fixed("prepend", &[Any, Any], |c, a| checked(lists::prepend(c.host, &a[0], &a[1]))),
    fixed("mustPrepend", &[Any, Any], |c, a| checked(lists::prepend(c.host, &a[0], &a[1]))),
    fixed("first", &[Any], |_, a| lists::first(&a[0])),
    fixed("mustFirst", &[Any], |_, a| lists::first(&a[0])),
    fixed("rest", &[Any], |_, a| checked(lists::rest(&a[0]))),
    fixed("mustRest", &[Any], |_, a| checked(lists::rest(&a[0]))),
    fixed("last", &[Any], |_, a| lists::last(&a[0])),
    fixed("mustLast", &[Any], |_, a| lists::last(&a[0])),
    fixed("initial", &[Any], |_, a| checked(lists::initial(&a[0]))),
    fixed("mustInitial", &[Any], |_, a| checked(lists::initial(&a[0]))),
    fixed("reverse", &[Any], |_, a| checked(lists::reverse(&a[0]))),
    fixed("mustReverse", &[Any], |_, a| checked(lists::reverse(&a[0]))),
    fixed("uniq", &[Any], |c, a| checked(lists::uniq(c.host, &a[0]))),
    fixed("mustUniq", &[Any], |c, a| checked(lists::uniq(c.host, &a[0]))),
    variadic("without", &[Any, Any], |c, a| checked(lists::without(c.host, &a[0], &a[1..]))),
    variadic("mustWithout", &[Any, Any], |c, a| checked(lists::without(c.host, &a[0], &a[1..]))),
    fixed("has", &[Any, Any], |c, a| checked(lists::has(c.host, &a[0], &a[1]))),
    fixed("mustHas", &[Any, Any], |c, a| checked(lists::has(c.host, &a[0], &a[1]))),
    variadic("slice", &[Any, Any], |_, a| lists::slice(&a[0], &a[1..])),
    variadic("mustSlice", &[Any, Any], |_, a| lists::slice(&a[0], &a[1..])),
    variadic("concat", &[Any], |c, a| checked(lists::concat(c.host, a))),
    variadic("dig", &[Any], |_, a| dicts::dig(a)),
    fixed("chunk", &[Int, Any], |_, a| checked(lists::chunk(int(a, 0), &a[1]))),
    fixed("mustChunk", &[Int, Any], |_, a| checked(lists::chunk(int(a, 0), &a[1]))),

    // Crypto
    fixed("bcrypt", &[String], |c, a| checked(crypto::bcrypt(c.host, string(a, 0)))),
    fixed("htpasswd", &[String, String], |c, a| checked(crypto::htpasswd(c.host, string(a, 0), string(a, 1)))),
    fixed("genPrivateKey", &[String], |c, a| checked(crypto::private_key(c.host, string(a, 0)))),
    fixed("derivePassword", &[Uint32, String, String, String, String], |c, a| {
        let (kind, password, user, site) = (string(a, 1), string(a, 2), string(a, 3), string(a, 4));
        checked(crypto::derive_password(c.host, uint32(a, 0), kind, password, user, site))
    }),
    fixed("buildCustomCert", &[String, String], |_, a| checked(certificates::custom(string(a, 0), string(a, 1)))),
    fixed("genCA", &[String, Int], |c, a| certificates::authority(c.host, string(a, 0), int(a, 1), Key::New)),
    fixed("genCAWithKey", &[String, Int, String], |c, a| {
        certificates::authority(c.host, string(a, 0), int(a, 1), Key::Pem(string(a, 2)))
    }),
    fixed("genSelfSignedCert", &[String, AnyList, AnyList, Int], |c, a| {
        certificates::self_signed(c.host, &subject(a), Key::New)
    }),
    fixed("genSelfSignedCertWithKey", &[String, AnyList, AnyList, Int, String], |c, a| {
        certificates::self_signed(c.host, &subject(a), Key::Pem(string(a, 4)))
    }),
    fixed("genSignedCert", &[String, AnyList, AnyList, Int, Certificate], |c, a| {
        certificates::signed(c.host, &subject(a), &a[4], Key::New)
    }),
    fixed("genSignedCertWithKey", &[String, AnyList, AnyList, Int, Certificate, String], |c, a| {
        certificates::signed(c.host, &subject(a), &a[4], Key::Pem(string(a, 5)))
    }),
    fixed("encryptAES", &[String, String], |c, a| ok(crypto::encrypt_aes(c.host, string(a, 0), string(a, 1)))),
    fixed("decryptAES", &[String, String], |_, a| checked(crypto::decrypt_aes(string(a, 0), string(a, 1)))),
    fixed("randBytes", &[Int], |c, a| checked(random::bytes(c.host, int(a, 0)))),

    fixed("uuidv4", &[], |c, _| ok(random::uuid(c.host))),

    // Versions
    fixed("semver", &[String], |_, a| checked(semver::version(string(a, 0)))),
    fixed("semverCompare", &[String, String], |_, a| checked(semver::compare(string(a, 0), string(a, 1)))),

    // Helm replaces this one by one that marks the message.
    fixed("fail", &[String], |_, a| Err(Fault::Failed(argument::lossy(a, 0)))),

    // Regular expressions
    fixed("regexMatch", &[String, String], |c, a| checked(regex::matches_or_false(c.host, string(a, 0), string(a, 1)))),
    fixed("mustRegexMatch", &[String, String], |c, a| checked(regex::matches(c.host, string(a, 0), string(a, 1)))),
    fixed("regexFindAll", &[String, String, Int], |c, a| {
        checked(regex::find_all(c.host, Panic, string(a, 0), string(a, 1), int(a, 2)))
    }),
    fixed("mustRegexFindAll", &[String, String, Int], |c, a| {
        checked(regex::find_all(c.host, Return, string(a, 0), string(a, 1), int(a, 2)))
    }),
    fixed("regexFind", &[String, String], |c, a| checked(regex::find(c.host, Panic, string(a, 0), string(a, 1)))),
    fixed("mustRegexFind", &[String, String], |c, a| checked(regex::find(c.host, Return, string(a, 0), string(a, 1)))),
    fixed("regexReplaceAll", &[String, String, String], |c, a| {
        checked(regex::replace_all(c.host, Panic, string(a, 0), string(a, 1), string(a, 2)))
    }),
    fixed("mustRegexReplaceAll", &[String, String, String], |c, a| {
        checked(regex::replace_all(c.host, Return, string(a, 0), string(a, 1), string(a, 2)))
    }),
    fixed("regexReplaceAllLiteral", &[String, String, String], |c, a| {
        checked(regex::replace_all_literal(c.host, Panic, string(a, 0), string(a, 1), string(a, 2)))
    }),
    fixed("mustRegexReplaceAllLiteral", &[String, String, String], |c, a| {
        checked(regex::replace_all_literal(c.host, Return, string(a, 0), string(a, 1), string(a, 2)))
    }),
    fixed("regexSplit", &[String, String, Int], |c, a| {
        checked(regex::split(c.host, Panic, string(a, 0), string(a, 1), int(a, 2)))
    }),
    fixed("mustRegexSplit", &[String, String, Int], |c, a| {
        checked(regex::split(c.host, Return, string(a, 0), string(a, 1), int(a, 2)))
    }),
    fixed("regexQuoteMeta", &[String], |_, a| ok(regex::quote_meta(string(a, 0)))),

    // URLs
    fixed("urlParse", &[String], |_, a| checked(url::parse(string(a, 0)))),
    fixed("urlJoin", &[AnyMap], |_, a| checked(url::join(&map(a, 0)))),
];

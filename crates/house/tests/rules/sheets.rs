use crate::{accepts, finds};
use florin_house::sheets::{BASE, COPY, copied, own_tokens, tokens};
use florin_house::{Finding, expect_none, repository};

#[test]
fn all_pages_begin_with_one_sheet() {
    let base = repository::read(BASE).expect("the common sheet is there");
    assert!(tokens(&base).len() > 30, "{:?}", tokens(&base));
    let mut findings = copied(&base, &repository::read(COPY).unwrap_or_default());
    // The walk over the crates leaves folders of assets out.
    let folders = ["crates", "crates/channels/assets", "crates/shop/assets"];
    let others: Vec<(String, String)> = (folders.iter())
        .flat_map(|folder| repository::files(folder, &[".css"]))
        .collect();
    assert!(others.len() >= 5, "the walk found {} style sheets", others.len());
    for (path, text) in &others {
        if ![BASE, COPY].contains(&path.as_str()) {
            findings.extend(own_tokens(path, text, &base));
        }
    }
    expect_none(&findings);
}

#[test]
fn a_copy_that_differs_and_a_token_defined_anew_are_found() {
    let base = "@layer tokens {\n  :root {\n    --ink: black; --paper: white;\n  }\n}\n";
    accepts(&copied(base, base));
    finds(&copied(base, &base.replace("white", "grey")), "base.css:3: differs");
    finds(&copied(base, ""), "base.css:1: differs");
    let line = |findings: &[Finding]| findings.iter().map(|one| one.line).collect::<Vec<_>>();
    assert_eq!(line(&copied(base, &format!("{base}p {{}}\n"))), [6]);

    let page = "crates/shop/assets/shop.css";
    accepts(&own_tokens(page, ".mug { --hue: 30; color: var(--ink); }", base));
    finds(
        &own_tokens(page, ".mug { --hue: 30; --ink: brown; }", base),
        "`--ink` is defined in",
    );
}

//! The rules of Florin: order machine, ledger, money, ids, the trait of a rail. Pure.

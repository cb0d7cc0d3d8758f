"""What the rules say of a mail, with and without a table, and who has the last word."""

import math

import pytest

from apps.tests.mailroom.mails import PLAIN, SPAM_PAGE, small_corpus
from tidemill_apps.mailroom.message import Mail, parse_mail
from tidemill_apps.mailroom.spam.bayes import Table, english_table
from tidemill_apps.mailroom.spam.features import features, names_somebody
from tidemill_apps.mailroom.spam.filter import FilterSettings, SpamFilter, Verdict
from tidemill_apps.mailroom.spam.keywords import Keywords
from tidemill_apps.mailroom.spam.rules import Standing

CHINESE_SPAM = (
    "From: 客服 <k@fapiao.example>\nMessage-ID: <1@x>\nSubject: 代开发票\n\n专业代开发票,请加微信。"
)


def mail(text: str) -> Mail:
    return parse_mail(text.encode())


def rules(verdict: Verdict) -> set[str]:
    return {reason.rule for reason in verdict.reasons}


def test_the_rules_find_loud_spam_and_name_every_reason() -> None:
    verdict = SpamFilter().judge(parse_mail(SPAM_PAGE))
    assert verdict.is_spam
    assert rules(verdict) == {
        *("subject", "body", "page only", "form", "hidden text", "bare address"),
        *("shouting", "sender", "no table"),
    }
    assert "“guaranteed” in the subject" in {reason.fact for reason in verdict.reasons}


def test_the_rules_find_chinese_spam() -> None:
    assert SpamFilter().judge(mail(CHINESE_SPAM)).is_spam


@pytest.mark.parametrize("table", [None, english_table()], ids=["rules", "table"])
def test_a_good_mail_passes(table: Table | None) -> None:
    assert not SpamFilter(table=table).judge(parse_mail(PLAIN)).is_spam


def test_the_shipped_table_calls_loud_spam_spam_and_names_nobody() -> None:
    table = english_table()
    verdict = SpamFilter(table=table).judge(parse_mail(SPAM_PAGE))
    assert verdict.probability > 0.9
    assert not any(names_somebody(feature) for feature in table.counts)


def test_the_score_is_the_sum_of_the_reasons() -> None:
    verdict = SpamFilter(table=english_table()).judge(parse_mail(SPAM_PAGE))
    assert verdict.score == pytest.approx(sum(reason.points for reason in verdict.reasons))
    assert verdict.probability == pytest.approx(1 / (1 + math.exp(-verdict.score)))


@pytest.mark.parametrize("named", ["k@fapiao.example", "FAPIAO.example", "example"])
def test_the_allow_list_wins_over_everything(named: str) -> None:
    settings = FilterSettings(allow=(named,), deny=("k@fapiao.example",))
    verdict = SpamFilter(settings).judge(mail(CHINESE_SPAM), Standing(spam=50))
    assert not verdict.is_spam
    assert rules(verdict) == {"allow list"}


def test_a_name_that_only_ends_alike_is_not_on_the_list() -> None:
    settings = FilterSettings(allow=("piao.example",))
    assert SpamFilter(settings).judge(mail(CHINESE_SPAM)).is_spam


def test_the_deny_list_makes_a_good_mail_spam() -> None:
    verdict = SpamFilter(FilterSettings(deny=("mill.example",)), english_table()).judge(
        parse_mail(PLAIN)
    )
    assert verdict.is_spam
    assert "deny list" in rules(verdict)


def test_what_a_sender_sent_before_counts_both_ways() -> None:
    judge, doubtful = SpamFilter(), mail("From: a@b.example\nSubject: free credit\n\nAct now")
    unknown = judge.judge(doubtful).score
    assert judge.judge(doubtful, Standing(spam=5)).score > unknown
    assert judge.judge(doubtful, Standing(ham=5)).score < unknown


def test_a_way_to_unsubscribe_alone_says_nothing() -> None:
    headers = "From: a@b.example\nMessage-ID: <1@b.example>\nList-Unsubscribe: <mailto:x@b.example>"
    verdict = SpamFilter().judge(mail(f"{headers}\nSubject: News\n\nUnsubscribe at any time."))
    assert rules(verdict) == {"no table"}


def test_an_operators_keywords_replace_the_built_in_ones() -> None:
    own = FilterSettings(keywords=Keywords(subject={"Sluice": 3.0}, body={}))
    verdict = SpamFilter(own).judge(parse_mail(PLAIN))
    assert [reason.fact for reason in verdict.reasons if reason.rule == "subject"] == [
        "“Sluice” in the subject"
    ]
    assert "subject" not in rules(SpamFilter(own).judge(mail(CHINESE_SPAM)))


def test_a_keyword_is_a_whole_word() -> None:
    assert "subject" not in rules(SpamFilter().judge(mail("Subject: freedom of adulthood\n\nx")))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("http://a.example", "too short"),
        ("word " * 13_000, "too long"),
        ("Our new shop: http://bank.example@192.0.2.9/", "misleading link"),
    ],
)
def test_odd_lengths_and_links_are_reasons(text: str, rule: str) -> None:
    assert rule in rules(SpamFilter().judge(mail(f"Subject: x\n\n{text}")))


def test_features_are_words_links_origin_and_shape() -> None:
    found = features(parse_mail(SPAM_PAGE))
    assert {"click", "subject:winner", "subject:!!", "page:only", "page:form"} <= found
    assert {"link:number", "link:win", "from:deals4u", "id:none", "no-answer"} <= found
    assert "river" not in found  # no reader sees it
    assert {"专业", "业代", "subject:发票"} <= features(mail(CHINESE_SPAM))


def test_marks_of_other_filters_are_no_features() -> None:
    marked = b"X-Spam-Status: Yes\nX-Spam-Level: *****\nReceived: from spam.example\n" + PLAIN
    assert features(parse_mail(marked)) == features(parse_mail(PLAIN))


def test_every_mail_of_the_small_corpus_is_judged_the_same_twice() -> None:
    judge = SpamFilter(table=english_table())
    for each in small_corpus(12):
        assert judge.judge(each.mail) == judge.judge(each.mail)

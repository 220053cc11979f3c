"""The records that the owner of a domain is told to set."""

from vestnik.senders import spf
from vestnik.senders.answers import Kind, Question
from vestnik.senders.records import Purpose, Record, Setup, questions, wanted

KEY = "v=DKIM1; k=rsa; p=AAAA"
THEIRS = Setup(
    "d.test", token="t0", dkim=(("k1", KEY), ("k2", KEY)), return_path="bounces", bounce_domain="b.vestnik.test"
)
OURS = Setup(
    "vestnik.test",
    token="t0",
    dkim=(("k1", KEY),),
    return_path="bounces",
    bounce_domain="b.vestnik.test",
    bounce_host="mail.vestnik.test",
    spf_include="spf.esp.test",
    addresses=("192.0.2.1", "2001:db8::1"),
    is_installations=True,
)


def test_whoever_sends_by_the_installation_shows_the_domain_signs_and_takes_bounces_back() -> None:
    assert wanted(THEIRS) == [
        Record(Purpose.OWNERSHIP, "_vestnik.d.test", Kind.TXT, "vestnik-verification=t0", True, "d.test"),
        Record(Purpose.DKIM, "k1._domainkey.d.test", Kind.TXT, KEY, True, "d.test"),
        Record(Purpose.DKIM, "k2._domainkey.d.test", Kind.TXT, KEY, True, "d.test"),
        Record(Purpose.RETURN_PATH, "bounces.d.test", Kind.CNAME, "b.vestnik.test", False, "d.test"),
        Record(Purpose.DMARC, "_dmarc.d.test", Kind.TXT, "v=DMARC1; p=none", False, "d.test"),
    ]


def test_the_installation_takes_bounces_and_lets_its_servers_send() -> None:
    policy = "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:spf.esp.test ~all"
    assert wanted(OURS) == [
        Record(Purpose.DKIM, "k1._domainkey.vestnik.test", Kind.TXT, KEY, True, "vestnik.test"),
        Record(Purpose.MX, "b.vestnik.test", Kind.MX, "10 mail.vestnik.test", True, "b.vestnik.test"),
        Record(Purpose.SPF, "b.vestnik.test", Kind.TXT, policy, True, "b.vestnik.test"),
        Record(Purpose.DMARC, "_dmarc.vestnik.test", Kind.TXT, "v=DMARC1; p=none", False, "vestnik.test"),
    ]
    assert len(spf.parse(policy).terms) == 4


def test_what_is_not_known_is_not_asked_for() -> None:
    assert [record.kind for record in wanted(Setup("d.test"))] == [Purpose.DMARC]
    assert [record.kind for record in wanted(Setup("d.test", return_path="bounces"))] == [Purpose.DMARC]
    alone = wanted(Setup("d.test", spf_include="spf.esp.test", is_installations=True))
    assert [(record.kind, record.name) for record in alone] == [
        (Purpose.SPF, "d.test"),
        (Purpose.DMARC, "_dmarc.d.test"),
    ]


def test_each_question_is_named_once() -> None:
    records = wanted(OURS)
    assert questions([*records, *records]) == [Question(record.name, record.type) for record in records]

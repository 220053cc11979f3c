"""What people's programs call the columns of a file of clients: columns are recognised by these names.

Names are compared by their letters and digits alone, without case and accents. A sentence or an address is no name, and
what says that something is missing (“no e-mail”, “mail.ru”) is the content of a cell, not a header.
"""

import re
import unicodedata

_KEY_LENGTH = 200


def _plain(text: str) -> str:
    """Return the text without case and accents, so that ё is е and й is и."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")


def key(name: str) -> str:
    """Return the key by which headers are compared: letters and digits alone."""
    return "".join(letter for letter in _plain(name[:_KEY_LENGTH]) if letter.isalnum())


def _words(text: str) -> frozenset[str]:
    return frozenset(map(key, text.split()))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_plain(text))


_EMAIL = _words(
    "email mail emailaddress mailaddress почта элпочта электроннаяпочта емейл емаил имейл мейл email1 ιμειλ "
    "адресэлектроннойпочты адресэлпочты электронныйадрес эладрес emailvalue useremail"
)
_LIKE_EMAIL = _pattern(
    "e?mail|почт|пошт|мейл|меил|маил|имеил|имэил|имејл|електроннаадрес|едреса|еадрес|элекадрес|эладрес|электронныиадрес"
    "|correo|courriel|messagerie|posta|poczt|pocht|poct|epost|posti|pastas|epasta|epasts|elpast|surel|netfang|փոստ"
    "|邮箱|邮件|電郵|电邮|郵箱|郵件|信箱|メール|이메일|메일|전자우편|ταχυδρομ|بريد|ایمیل|پستالکترون|דואל|אימייל|อีเมล|ელფოსტა|ईमेल|ইমেইল"
)
# Letters of the Cyrillic alphabet that look like Latin ones: people's keyboards were the wrong way round.
_LOOKALIKES = str.maketrans("авекмнорстухіјѕ", "abekmhopctyxijs")

# Columns called so hold addresses only if some are found: an “address” is a street, a “mail type” a word.
_PERHAPS = _pattern(
    "^(address|адрес|adresse|direccion|indirizzo|endereco)$|mailing|label|type|domain|status|consent|verif|confirm|optin"
    "|optout|date|time|count|open|click|bounce|subscri|source|тип|статус|дата|подтвержд|соглас|открыт|клик|подпис"
    "|почтовый|индекс|postal|количеств"
)
_SOMEBODY_ELSES = _pattern(
    "owner|manager|agent|assist|assign|referr|refered|invited|sender|fromemail|replyto|createdby|creator|modifiedby|updatedby"
    "|salesrep|representative|spouse|partner|parent|executive|supervisor|ответствен|менеджер|владел|автор|создал|отправител"
    "|куратор|руковод|помощник|пригласи|родител|сотрудник|продавец|операто|ansprechpartner|besitzer|verantwort"
)
_STANDS_IN_A_CELL = re.compile(
    r"\b(нет|без|не|неизвестн\w*|отсутств\w*|no|none|not|without|unknown|n/a|kein|keine|sans|sin)\b"
    r"|\.(ru|com|net|org|su|by|ua|kz|de|uk|info|biz|fr|it|es|pl|me|рф)$",
    re.IGNORECASE,
)

FULL_NAME = _words(
    "fullname фио полноеимя имяифамилия имяфамилия фамилияимя фамилияиимя фамилияимяотчество имяотчествофамилия "
    "полноеимяконтакта фиоклиента фиоконтакта піб nombrecompleto nomcomplet vollstandigername каквасзовут "
    "вашеимя вашефио contactname clientname customername yourname"
)
DISPLAY_NAME = _words(
    "displayname отображаемоеимя відображуванеімя показуванеімя anzeigename nomàafficher nombreparamostrar "
    "nomevisualizzato wyświetlananazwa weergavenaam visningsnamn görünenad nomedeexibição nomedeapresentação "
    "zobrazovanéjméno visningsnavn"
)
"""A full name in people's address books; in shops often a login."""
LOGIN = _words("login username userlogin usernicename nickname логин")
FIRST_NAME = _words("firstname givenname fname")
LAST_NAME = _words("lastname surname familyname lname фамилия фамилія прізвище")
OTHER_PARTS = _words(
    "middlename additionalname patronymic secondname отчество побатькові "
    "vorname nachname familienname zweitervorname weiterevornamen "
    "prénom nomdefamille deuxièmeprénom "
    "apellido apellidos primerapellido segundoapellido segundonombre "
    "cognome secondonome sobrenome últimonome primeironome segundonome nomedomeio "
    "imię nazwisko drugieimię jméno příjmení křestníjméno "
    "voornaam achternaam middelstenaam tussenvoegsel förnamn efternamn mellannamn "
    "fornavn etternavn efternavn mellomnavn mellemnavn etunimi sukunimi "
    "soyad soyadı ikinciad keresztnév vezetéknév utónév családnév prenume"
)
BESIDE = {"ad": _words("soyad soyadı"), "adı": _words("soyad soyadı"), "nume": _words("prenume")}
"""Parts of names only where one of the others is there: “ad” has many meanings."""
NAME_PERHAPS = _words(
    "name имя імя nombre nom nome imia имяконтакта имяклиента имяпокупателя имяподписчика имяполучателя"
)
NAME_AT_LAST = _words("наименование контрагент клиент контакт подписчик получатель client customer contact recipient")
COMMENT = _words("comment comments note notes комментарий комментарии примечание примечания заметки заметка коментар")
_OFTEN = _words(
    "id № phone mobile телефон мобильный моб тел company компания организация город city country страна address адрес "
    "дата date birthday дата_рождения деньрождения пол gender сумма total tags теги тэги status статус source источник "
    "должность title position область регион region zip индекс website сайт"
)
_WHOSE = re.compile(
    "^(billing|customer|contact|user|subscriber|client|person|lead|recipient|member)(?=.)|(?<=.)billing$"
)

STATUS = _pattern(
    "^(status|статус|subscribed|подписан|подписка|emailstatus|statusemail|availability|emailavailability|optin|рассылка)$"
    "|unsub|optout|optedout|отпис|відпис|bounce|suppress|complain|blacklist|donotmail|donotcontact|donotemail"
    "|subscriptionstatus|subscriberstatus|marketingstatus|статусподпис|статусemail|жалоб|чернысписок"
    "|issubscribed|подписанна|подпискана|подпискина|согласиена(?!обраб)|acceptsemail|acceptsmarketing|acceptsnews|emailmarketing"
    "|marketingemail|marketingcontact|marketingconsent|marketingperm|emailconsent|consent|emailperm|emailoptin|optedin"
    "|newsletter|согласен|разрешен|получатьрас|получаетрас|хочетполучать"
    "|абонирован|підписан|abonniert|abgemeldet|einwilligung|desabonn|desinscr|suscrit|suscripcion|iscritto|disiscr"
    "|cancelado|wypisan|zgoda"
)
"""Columns that may say who does not want letters."""


def without_whom(plain: str) -> str:
    """Return a key without whose name or address it is: “Billing first name” is a first name."""
    return _WHOSE.sub("", plain)


def likeness(name: str) -> int:
    """Say how much a header looks like one of addresses: 3 exactly, 2 as one among others, 1 perhaps, 0 not at all."""
    plain = key(name)
    if "@" in name or not plain:
        return 0
    latin = plain.translate(_LOOKALIKES)
    if plain in _EMAIL or latin in _EMAIL:
        return 3
    if _STANDS_IN_A_CELL.search(name[:_KEY_LENGTH].strip()):
        return 0
    is_like = bool(_LIKE_EMAIL.search(plain) or _LIKE_EMAIL.search(latin))
    is_perhaps = bool(_PERHAPS.search(plain)) or is_somebody_elses(name)
    return 1 if is_perhaps and (is_like or plain in ("address", "адрес")) else 2 if is_like else 0


def is_somebody_elses(name: str) -> bool:
    """Say whether the header names the address of somebody else than the client."""
    return bool(_SOMEBODY_ELSES.search(key(name)))


def is_known(name: str) -> bool:
    """Say whether people's programs use this header."""
    if likeness(name):
        return True
    plain = key(name)
    return any(
        one in words
        for one in (plain, without_whom(plain))
        for words in (
            FULL_NAME,
            DISPLAY_NAME,
            FIRST_NAME,
            LAST_NAME,
            OTHER_PARTS,
            NAME_PERHAPS,
            NAME_AT_LAST,
            COMMENT,
            _OFTEN,
        )
    )

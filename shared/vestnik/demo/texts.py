"""What the demo's letters say."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A message's subject and its two bodies."""

    subject: str
    html: str
    text: str
    language: str = "en"


def _page(title: str, body: str, foot: str) -> str:
    return (
        '<div style="margin:0;padding:24px;background:#f3f4f7;font:16px/1.55 Georgia,serif;color:#23283a">\n'
        '<div style="max-width:560px;margin:0 auto;padding:32px;background:#fff;border-top:4px solid #2457c5">\n'
        f'<h1 style="margin:0 0 16px;font-size:24px;line-height:1.25">{title}</h1>\n{body}\n'
        f'<p style="margin:32px 0 0;font-size:13px;color:#6b7285">{foot}</p>\n</div>\n</div>'
    )


NEWSLETTER = Text(
    "What the autumn brings, {{ full_name }}",
    _page(
        "What the autumn brings",
        "<p>Dear {{ full_name }},</p>\n"
        "<p>the new catalogue is printed: <b>214 pages</b>, twelve of them maps, and for the first time everything in"
        " it can be had in {{ attributes.city }} within two days.</p>\n"
        "<ul>\n<li>Notebooks with a thread that holds</li>\n<li>The blue ink is back</li>\n"
        "<li>Repairs, whatever you bought, and whenever</li>\n</ul>\n<p>Yours,<br>Daria</p>",
        "You get this letter because you are our customer.",
    ),
    "Dear {{ full_name }},\n\n"
    "the new catalogue is printed: 214 pages, twelve of them maps, and for the first time everything in it can be had\n"
    "in {{ attributes.city }} within two days.\n\n"
    "- Notebooks with a thread that holds\n- The blue ink is back\n- Repairs, whatever you bought, and whenever\n\n"
    "Yours,\nDaria\n",
)

DIGEST = Text(
    "Новости дня для вас, {{ full_name }}",
    _page(
        "Новости дня",
        "<p>Здравствуйте, {{ full_name }}!</p>\n"
        "<p>Коротко о главном: склад в городе {{ attributes.city }} открыт и по субботам, каталог пополнился картами"
        " Севера, а мастерская снова принимает перья в починку.</p>\n"
        "<p>Завтра расскажем, как делают бумагу, которая не желтеет.</p>",
        "Вы подписаны на ежедневные новости.",
    ),
    "Здравствуйте, {{ full_name }}!\n\n"
    "Коротко о главном: склад в городе {{ attributes.city }} открыт и по субботам, каталог пополнился картами Севера,\n"
    "а мастерская снова принимает перья в починку.\n\n"
    "Завтра расскажем, как делают бумагу, которая не желтеет.\n",
    "ru",
)

RECEIPT = Text(
    "Ваш заказ принят",
    _page(
        "Спасибо за заказ!",
        "<p>{{ full_name }}, мы получили ваш заказ и уже собираем его.</p>\n"
        '<table style="width:100%;border-collapse:collapse">\n'
        '<tr><td style="padding:6px 0">Тетрадь в линейку, 3 шт.</td><td style="text-align:right">870 ₽</td></tr>\n'
        '<tr><td style="padding:6px 0">Чернила синие</td><td style="text-align:right">540 ₽</td></tr>\n'
        '<tr style="border-top:1px solid #dfe3ea"><td style="padding:6px 0"><b>Итого</b></td>'
        '<td style="text-align:right"><b>1 410 ₽</b></td></tr>\n</table>\n'
        "<p>Доставка: {{ attributes.city }}. Чек придёт отдельно на {{ email }}.</p>",
        "Это письмо отправлено автоматически; ответ прочтёт человек.",
    ),
    "{{ full_name }}, мы получили ваш заказ и уже собираем его.\n\n"
    "Тетрадь в линейку, 3 шт.    870 ₽\nЧернила синие               540 ₽\nИтого                     1 410 ₽\n\n"
    "Доставка: {{ attributes.city }}. Чек придёт отдельно на {{ email }}.\n",
    "ru",
)

INVITATION = Text(
    "Thursday evening: an invitation · Приглашение на четверг",
    _page(
        "Thursday evening",
        "<p>Dear {{ full_name }}, on Thursday at seven the showroom stays open: music, tea, and a walk through the"
        " workshop. Bring whom you like.</p>\n"
        '<p lang="ru">{{ full_name }}, в четверг в семь вечера шоурум открыт для друзей: музыка, чай и прогулка по'
        " мастерской. Приводите кого хотите.</p>",
        "A letter to thirty people, written once.",
    ),
    "Dear {{ full_name }}, on Thursday at seven the showroom stays open: music, tea, and a walk through the workshop.\n"
    "Bring whom you like.\n\n"
    "{{ full_name }}, в четверг в семь вечера шоурум открыт для друзей: музыка, чай и прогулка по мастерской.\n"
    "Приводите кого хотите.\n",
)

ADDRESS_CHECK = Text(
    "Is {{ email }} still your address?",
    _page(
        "Is this still your address?",
        "<p>Dear {{ full_name }},</p>\n<p>we have not heard from you for a year. If <b>{{ email }}</b> still reaches"
        " you, there is nothing to do; if you read this elsewhere, please tell us where.</p>",
        "We ask once a year, and keep no address that is of no use.",
    ),
    "Dear {{ full_name }},\n\n"
    "we have not heard from you for a year. If {{ email }} still reaches you, there is nothing to do; if you read\n"
    "this elsewhere, please tell us where.\n",
)

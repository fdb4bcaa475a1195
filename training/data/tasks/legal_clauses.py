"""Clauses of contracts in both languages: per risk the ways to carry it and the ways to settle the matter safely, and
per kind of clause the ways to word it.

Slots: {a} and {b} the parties, {money} an amount, {days} and {percent} small numbers, {far} a place abroad, {date}.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Risk:
    name: tuple[str, str]  # English, Chinese
    risky: tuple[tuple[str, ...], tuple[str, ...]]
    safe: tuple[tuple[str, ...], tuple[str, ...]]


RISKS = (
    Risk(
        ("unlimited liability", "无限责任"),
        (
            (
                "{b} is liable for all damage without any limit.",
                "The liability of {b} is unlimited.",
                "{b} bears all losses of {a}, whatever their amount.",
            ),
            ("{b}对一切损失承担无限责任。", "{b}的赔偿责任不设上限。", "无论金额多少，{b}均须赔偿{a}的全部损失。"),
        ),
        (
            ("The liability of {b} is limited to {money}.", "{b} is liable for damage up to {money}."),
            ("{b}的赔偿责任以{money}为上限。", "{b}承担的赔偿总额不超过{money}。"),
        ),
    ),
    Risk(
        ("automatic renewal", "自动续约"),
        (
            (
                "The contract renews itself every year unless {b} cancels {days} days before.",
                "At its end the contract is extended by a year without notice.",
                "Without a written cancellation the term starts again.",
            ),
            (
                "除非{b}提前{days}天取消，本合同每年自动续约。",
                "合同到期后无需通知，自动延长一年。",
                "如未书面取消，合同期限自动重新计算。",
            ),
        ),
        (
            (
                "The contract ends on {date} and is renewed only if both parties sign.",
                "An extension needs a new agreement of both parties.",
            ),
            ("合同于{date}到期，经双方签字方可续约。", "如需延长期限，双方应另行签订协议。"),
        ),
    ),
    Risk(
        ("unilateral termination", "单方解除"),
        (
            (
                "{a} alone may end the contract at any time without reason.",
                "{a} may terminate at once; {b} may not terminate.",
                "Only {a} has the right to cancel, at any time.",
            ),
            ("{a}可随时无理由单方解除合同。", "{a}有权立即终止合同，{b}无权终止。", "仅{a}享有随时解除合同的权利。"),
        ),
        (
            (
                "Either party may terminate with {days} days' notice.",
                "Both parties may end the contract {days} days after a written notice.",
            ),
            ("任何一方均可提前{days}天通知终止合同。", "双方均可在书面通知{days}天后解除合同。"),
        ),
    ),
    Risk(
        ("foreign jurisdiction", "境外管辖"),
        (
            (
                "Only the courts of {far} decide disputes.",
                "All disputes must be brought before a court in {far}.",
                "Disputes are settled in {far} under the law of that place.",
            ),
            ("一切争议只能由{far}的法院管辖。", "所有纠纷须提交{far}的法院审理。", "争议在{far}按当地法律解决。"),
        ),
        (
            (
                "Disputes are decided by the court at the seat of the defendant.",
                "Disputes are first settled by talks, then by the local court.",
            ),
            ("争议由被告所在地的法院管辖。", "争议先由双方协商，协商不成由本地法院审理。"),
        ),
    ),
    Risk(
        ("no payment date", "付款日期缺失"),
        (
            (
                "{a} pays {money} at a time of its choice.",
                "{a} pays {money}; no date of payment is set.",
                "The price of {money} is paid when {a} sees fit.",
            ),
            (
                "{a}自行决定支付{money}的时间。",
                "{a}支付{money}，付款日期不作约定。",
                "价款{money}由{a}在其认为合适时支付。",
            ),
        ),
        (
            ("{a} pays {money} by {date}.", "{a} pays {money} within {days} days of the invoice."),
            ("{a}应于{date}前支付{money}。", "{a}在收到发票后{days}天内支付{money}。"),
        ),
    ),
    Risk(
        ("unlimited use of personal data", "滥用个人信息"),
        (
            (
                "{a} may use all personal data for any purpose.",
                "{a} may pass personal data to anyone it likes.",
                "{b} allows {a} every use of its customers' personal data.",
            ),
            (
                "{a}可将全部个人信息用于任何目的。",
                "{a}可将个人信息任意提供给第三方。",
                "{b}允许{a}以任何方式使用其客户的个人信息。",
            ),
        ),
        (
            (
                "Personal data are used only for this contract and deleted at its end.",
                "{a} protects personal data and gives them to nobody.",
            ),
            ("个人信息仅用于履行本合同，合同结束后删除。", "{a}应保护个人信息，不得提供给他人。"),
        ),
    ),
    Risk(
        ("excessive penalty", "违约金过高"),
        (
            (
                "For each day of delay {b} pays {high} percent of the price.",
                "A delay of one day costs {b} a penalty of {high} percent of the price.",
                "If {b} is late, it owes {high} percent of the price per day.",
            ),
            (
                "每逾期一天，{b}支付价款{high}%的违约金。",
                "{b}延迟一天，须支付相当于价款{high}%的违约金。",
                "{b}如有逾期，按每天{high}%支付违约金。",
            ),
        ),
        (
            (
                "For each week of delay {b} pays 1 percent of the price, at most 5 percent.",
                "The penalty for delay is at most {low} percent of the price in all.",
            ),
            ("每逾期一周，{b}支付价款1%的违约金，最高不超过5%。", "逾期违约金总额最高为价款的{low}%。"),
        ),
    ),
    Risk(
        ("no confidentiality", "缺少保密义务"),
        (
            (
                "{a} need not keep the secrets of {b}.",
                "There is no duty to keep business secrets.",
                "{a} may publish all that it learns from {b}.",
            ),
            ("{a}无须为{b}保守秘密。", "双方不承担保守商业秘密的义务。", "{a}可以公开从{b}获知的一切信息。"),
        ),
        (
            (
                "Both parties keep all business secrets, also after the end.",
                "{a} shows the documents of {b} to nobody else.",
            ),
            ("双方均应保守商业秘密，合同终止后仍然有效。", "{a}不得向他人出示{b}的文件。"),
        ),
    ),
)

# Clauses that settle matters without any risk among RISKS.
HARMLESS = (
    (("{b} delivers the goods by {date}.",), ("{b}应于{date}前交货。",)),
    (("{b} installs the machines and trains the staff of {a}.",), ("{b}负责安装设备并培训{a}的员工。",)),
    (("The warranty lasts {months} months.",), ("质保期为{months}个月。",)),
    (("Changes of this contract must be in writing.",), ("对本合同的修改须采用书面形式。",)),
    (("Each party receives one signed copy.",), ("双方各执一份签字文本。",)),
    (("{a} checks the goods within {days} days of delivery.",), ("{a}在收货后{days}天内完成验收。",)),
    (("Notices are sent by e-mail and by post.",), ("通知以电子邮件和邮寄方式送达。",)),
    (("{b} insures the goods until delivery.",), ("交货前由{b}为货物投保。",)),
)

# Kinds of clauses with their wordings.
CLAUSE_KINDS = (
    (
        ("payment", "付款"),
        (
            "{a} pays {money} by {date}.",
            "{a} transfers {money} to the account of {b} within {days} days of the invoice.",
            "The price of {money} is due on {date}.",
        ),
        (
            "{a}应于{date}前支付{money}。",
            "{a}在收到发票后{days}天内向{b}账户转账{money}。",
            "价款{money}应于{date}付清。",
        ),
    ),
    (
        ("delivery", "交付"),
        (
            "{b} delivers the goods by {date}.",
            "{b} hands over the goods at the store of {a} within {days} days.",
            "The goods are shipped on {date} at the cost of {b}.",
        ),
        ("{b}应于{date}前交货。", "{b}在{days}天内将货物送至{a}的仓库。", "货物于{date}发运，运费由{b}承担。"),
    ),
    (
        ("confidentiality", "保密"),
        (
            "Both parties keep business secrets for {months} months.",
            "{b} tells nobody what it learns about {a}.",
            "Documents of {a} are secret and returned after {days} days.",
        ),
        ("双方在{months}个月内保守商业秘密。", "{b}不得泄露所知悉的{a}的信息。", "{a}的文件属于机密，{days}天后归还。"),
    ),
    (
        ("termination", "终止"),
        (
            "Either party may end the contract with {days} days' notice.",
            "{a} may terminate if {b} is late by {days} days.",
            "The contract ends on {date}.",
        ),
        ("任何一方可提前{days}天通知终止合同。", "{b}逾期{days}天的，{a}可以解除合同。", "本合同于{date}终止。"),
    ),
    (
        ("liability", "责任"),
        (
            "The liability of {b} is limited to {money}.",
            "{b} is liable for damage up to {money}.",
            "Neither party is liable for lost profit above {money}.",
        ),
        (
            "{b}的赔偿责任以{money}为上限。",
            "{b}对损失承担不超过{money}的赔偿责任。",
            "对于超过{money}的利润损失，双方均不承担责任。",
        ),
    ),
    (
        ("warranty", "质保"),
        (
            "The warranty lasts {months} months.",
            "{b} repairs defects free of charge for {months} months.",
            "Defects reported within {days} days are repaired by {b}.",
        ),
        ("质保期为{months}个月。", "{b}在{months}个月内免费维修缺陷。", "{days}天内报告的缺陷由{b}负责维修。"),
    ),
    (
        ("jurisdiction", "管辖"),
        (
            "Disputes are decided by the courts of {far}.",
            "The law of {far} applies; its courts decide.",
            "{a} and {b} settle disputes before a court in {far}.",
        ),
        ("争议由{far}的法院管辖。", "适用{far}法律，由当地法院审理。", "{a}与{b}的争议提交{far}的法院解决。"),
    ),
    (
        ("penalty", "违约金"),
        (
            "For each week of delay {b} pays a penalty of {low} percent.",
            "If {b} is late, it owes {a} a penalty of {money}.",
            "The penalty for delay is at most {low} percent of the price.",
        ),
        (
            "每逾期一周，{b}支付{low}%的违约金。",
            "{b}如有逾期，应向{a}支付违约金{money}。",
            "逾期违约金最高为价款的{low}%。",
        ),
    ),
    (
        ("data protection", "个人信息保护"),
        (
            "{b} uses personal data of {a} only for this contract.",
            "Personal data are deleted after {days} days.",
            "{b} protects the personal data of the customers of {a}.",
        ),
        ("{b}仅为履行本合同使用{a}的个人信息。", "个人信息在{days}天后删除。", "{b}应保护{a}客户的个人信息。"),
    ),
    (
        ("intellectual property", "知识产权"),
        (
            "All rights to the software pass to {a} on {date}.",
            "{b} keeps the copyright of its designs.",
            "{a} receives a licence to the patents of {b} for {months} months.",
        ),
        ("软件的全部权利于{date}转归{a}。", "{b}保留其设计的著作权。", "{a}获得{b}专利{months}个月的使用许可。"),
    ),
)

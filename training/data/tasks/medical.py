"""Medical tasks: summary of a record, department and urgency, dose of a drug, conflict of a drug with an allergy."""

from __future__ import annotations

import random
from typing import NamedTuple

from training.data import scoring
from training.data.facts import Facts
from training.data.sample import Sample, Task, assistant, pick, user
from training.data.tasks.medical_words import CLASSES, COMPLAINTS, DEPARTMENTS, DIAGNOSES, DRUGS, OTHER_ALLERGENS

SUMMARIZE = (
    (
        "Summarize this patient record:\n{}",
        "Give the key fields of this record: {}",
        "{}\n\nSummarize the record with name, age, diagnosis and medication.",
        "Extract name, age, diagnosis and medication.\n{}",
        "Please sum up this medical record.\n{}",
        "Patient record: {}\nKey fields?",
    ),
    (
        "请总结这份病历：\n{}",
        "请给出这份病历的关键信息：{}",
        "{}\n\n请用姓名、年龄、诊断和用药总结这份病历。",
        "提取姓名、年龄、诊断和用药。\n{}",
        "帮我概括一下这份病历。\n{}",
        "病历：{}\n关键信息有哪些？",
    ),
)
RECORDS = (
    (
        "{name}, {age} years old, came to the clinic on {date} with {symptom}. Blood pressure was {pressure}. "
        "The diagnosis is {diagnosis}. {doctor} prescribed {drug} {dose}.",
        "Name: {name}\nDate: {date}\nAge: {age}\nPulse: {pulse}\nDiagnosis: {diagnosis}\n"
        "Medication: {drug} {dose}\nDoctor: {doctor}",
        "On {date} {doctor} examined {name} (age {age}). Complaint: {symptom}. Diagnosis: {diagnosis}. "
        "Treatment: {drug} {dose}. Next visit in {weeks} weeks.",
        "{doctor} saw the patient {name} on {date}. The patient is {age} and has had {symptom} for {weeks} weeks. "
        "Tests confirmed {diagnosis}. Treatment with {drug} {dose} was started.",
        "Discharge letter. {name}, aged {age}, was treated for {diagnosis} in ward {ward}. "
        "Pulse {pulse}, blood pressure {pressure}. Medication at home: {drug} {dose}.",
        "Ward {ward}, doctor {doctor}. Patient: {name}. Diagnosed with {diagnosis} on {date}. "
        "Takes {drug} {dose}. Age: {age}.",
    ),
    (
        "{name}，{age}岁，{date}因{symptom}来院就诊，血压{pressure}。诊断为{diagnosis}。{doctor}医生开具{drug}{dose}。",
        "姓名：{name}\n日期：{date}\n年龄：{age}岁\n脉搏：{pulse}\n诊断：{diagnosis}\n用药：{drug}{dose}\n医生：{doctor}",
        "{date}，{doctor}医生为{name}（{age}岁）做了检查。主诉：{symptom}。诊断：{diagnosis}。治疗：{drug}{dose}。{weeks}周后复诊。",
        "{doctor}医生于{date}接诊患者{name}。患者{age}岁，{symptom}已有{weeks}周，检查后确诊{diagnosis}，开始服用{drug}{dose}。",
        "出院小结：{name}，{age}岁，因{diagnosis}在{ward}病区治疗。脉搏{pulse}，血压{pressure}。出院带药：{drug}{dose}。",
        "{ward}病区，主治医生{doctor}。患者：{name}。{date}诊断为{diagnosis}，现服用{drug}{dose}。年龄：{age}岁。",
    ),
)
FIELDS = (("Name", "Age", "Diagnosis", "Medication"), ("姓名", "年龄", "诊断", "用药"))

TRIAGE = (
    (
        "Which department should see this patient? {}",
        "{}\nWhich department, and how urgent?",
        "Triage: {}",
        "Give the department and the urgency. {}",
        "Where should I send this patient? {}",
        "Please triage this case: {}",
    ),
    (
        "这位患者应该去哪个科室？{}",
        "{}\n应该挂什么科？紧急吗？",
        "分诊：{}",
        "请给出科室和紧急程度。{}",
        "请问该挂什么科？{}",
        "请为下面的情况分诊：{}",
    ),
)
CASES = (
    (
        "{name}, {age} years old, has {symptom}, since {time}.",
        "Patient aged {age}: {symptom}, since {time}.",
        "I am {age} years old and have had {symptom} since {time}.",
        "Symptom: {symptom}. Age: {age}. Since {time}.",
        "Since {time} {name} ({age}) has had {symptom}.",
    ),
    (
        "{name}，{age}岁，{time}开始{symptom}。",
        "患者{age}岁，{symptom}，{time}开始。",
        "我今年{age}岁，{time}开始{symptom}。",
        "症状：{symptom}。年龄：{age}岁。{time}开始出现。",
        "{time}起，{name}（{age}岁）{symptom}。",
    ),
)
TIMES = (
    ("this morning", "yesterday", "last night", "Monday", "Tuesday", "Friday", "last week", "two days ago"),
    ("今天早上", "昨天", "昨晚", "星期一", "星期二", "星期五", "上周", "两天前"),
)
TRIAGE_FIELDS = (("Department", "Urgency"), ("科室", "紧急程度"))
URGENT_SHARE = 0.4  # of the cases, those for the emergency room
URGENCIES = (("normal", "普通"), ("emergency", "急诊"))

DOSE = (
    (
        "What is the dose of {drug}?\n{text}",
        "{text}\nHow much {drug} should the patient take?",
        "Prescription: {text}\nGive the dose of {drug}.",
        "{text}\n\nDose of {drug}?",
        "Extract the dose of {drug}: {text}",
    ),
    (
        "{drug}的用量是多少？\n{text}",
        "{text}\n患者应该服用多少{drug}？",
        "处方：{text}\n请给出{drug}的用量。",
        "{text}\n\n{drug}怎么吃？",
        "提取{drug}的用量：{text}",
    ),
)
LINES = (
    (
        "{drug} {amount} mg, {often}, for {days} days",
        "{drug} {amount} mg {often}",
        "{often} {drug} {amount} mg for {days} days",
    ),
    (
        "{drug}，每次{amount}毫克，{often}，服用{days}天",
        "{drug}每次{amount}毫克，{often}",
        "{often}服用{drug}，每次{amount}毫克，共{days}天",
    ),
)
OFTEN = (
    ("once a day", "每日一次"),
    ("twice a day", "每日两次"),
    ("three times a day", "每日三次"),
    ("every 8 hours", "每8小时一次"),
    ("before sleep", "睡前一次"),
    ("every second day", "隔日一次"),
)

ALLERGY = (
    (
        "{text}\nDoes the prescription conflict with an allergy?",
        "Check for allergy conflicts: {text}",
        "Is this prescription safe with regard to allergies? {text}",
        "{text} Is there an allergy conflict?",
        "Does an allergy speak against one of the drugs? {text}",
    ),
    (
        "{text}\n处方与过敏史有冲突吗？",
        "检查过敏冲突：{text}",
        "从过敏史看，这张处方安全吗？{text}",
        "{text}有没有过敏冲突？",
        "下面的处方中有患者过敏的药物吗？{text}",
    ),
)
HISTORIES = (
    (
        "{name}, {age}. Allergies: {allergies}. Prescribed: {drugs}.",
        "Patient {name} is allergic to {allergies}. The doctor prescribes {drugs}.",
        "Prescription for {name}: {drugs}. Known allergies: {allergies}.",
    ),
    (
        "{name}，{age}岁。过敏史：{allergies}。处方：{drugs}。",
        "患者{name}对{allergies}过敏。医生开了{drugs}。",
        "{name}的处方：{drugs}。已知过敏：{allergies}。",
    ),
)
CONFLICT = ("Conflict: {}.", "有冲突：{}。")
NO_CONFLICT = ("No conflict.", "没有冲突。")


class Patient(NamedTuple):
    name: str
    age: int


def _patient(facts: Facts, language: str) -> Patient:
    return Patient(facts.person(language), facts.rng.randint(18, 89))


def _drug(language: str, drug: str) -> str:
    return pick(language, drug, DRUGS[drug][0])


def _fields(task: str, language: str, question: str, fields: dict[str, str]) -> Sample:
    """A sample whose answer gives the fields, one a line."""
    answer = "\n".join(pick(language, f"{name}: {value}", f"{name}：{value}") for name, value in fields.items())
    return Sample(task, language, "medical", [user(question), assistant(answer)], {"fields": fields})


def medical_record(rng: random.Random, facts: Facts, language: str) -> Sample:
    """The four key fields of a record that holds more than them."""
    patient = _patient(facts, language)
    illness = rng.choice(DIAGNOSES)
    diagnosis, drug = pick(language, illness.en, illness.zh), _drug(language, rng.choice(illness.drugs))
    amount = rng.choice((5, 10, 20, 25, 40, 50, 75, 100, 150, 200, 250, 400, 500))
    dose = pick(language, f"{amount} mg", f"{amount}毫克")
    record = rng.choice(pick(language, *RECORDS)).format(
        name=patient.name,
        age=patient.age,
        diagnosis=diagnosis,
        drug=drug,
        dose=dose,
        symptom=pick(language, *rng.choice(COMPLAINTS)),
        doctor=_doctor(rng, facts, language),
        date=facts.date().text(language),
        pressure=f"{rng.randint(100, 180)}/{rng.randint(60, 100)}",
        pulse=rng.randint(55, 110),
        weeks=rng.randint(2, 8),
        ward=rng.randint(1, 9),
    )
    age = pick(language, str(patient.age), f"{patient.age}岁")
    medication = pick(language, f"{drug} {dose}", f"{drug}{dose}")
    fields = dict(zip(pick(language, *FIELDS), (patient.name, age, diagnosis, medication)))
    question = rng.choice(pick(language, *SUMMARIZE)).format(record[0].upper() + record[1:])
    return _fields("medical_record", language, question, fields)


def _doctor(rng: random.Random, facts: Facts, language: str) -> str:
    name = facts.person(language)
    return pick(language, f"Dr {name.split()[-1]}", name)


def medical_triage(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Department and urgency: what symptom belongs where is known, the patient is new."""
    name = facts.person(language)
    department, normal, urgent = rng.choice(DEPARTMENTS)
    is_urgent = rng.random() < URGENT_SHARE
    symptoms, times = urgent if is_urgent else normal, pick(language, *TIMES)
    symptom, age, time = facts.draw(
        "case", lambda: (pick(language, *rng.choice(symptoms)), rng.randint(18, 89), rng.choice(times))
    )
    case = rng.choice(pick(language, *CASES)).format(name=name, age=age, symptom=symptom, time=time)
    values = pick(language, *department), pick(language, *URGENCIES[is_urgent])
    question = rng.choice(pick(language, *TRIAGE)).format(case)
    return _fields("medical_triage", language, question, dict(zip(pick(language, *TRIAGE_FIELDS), values)))


def _prescription(rng: random.Random, facts: Facts) -> tuple[str, ...]:
    """One to three drugs, no two of the same class."""

    def drugs() -> tuple[str, ...]:
        while True:
            chosen = tuple(rng.sample(list(DRUGS), rng.choice((1, 2, 2, 3))))
            classes = [DRUGS[drug][1] for drug in chosen if DRUGS[drug][1]]
            if len(classes) == len(set(classes)):
                return chosen

    return facts.draw("prescription", drugs)


def medical_dose(rng: random.Random, facts: Facts, language: str) -> Sample:
    """How much of one drug of a prescription, and how often."""
    drugs = _prescription(rng, facts)
    form = rng.choice(pick(language, *LINES))
    lines, doses = [], []
    for drug in drugs:
        amount, often = rng.randrange(5, 805, 5), pick(language, *rng.choice(OFTEN))
        lines.append(form.format(drug=_drug(language, drug), amount=amount, often=often, days=rng.randint(3, 30)))
        doses.append(pick(language, f"{amount} mg, {often}", f"每次{amount}毫克，{often}"))
    text = pick(language, "; ", "；").join(lines) + pick(language, ".", "。")
    asked = rng.randrange(len(drugs))
    drug, dose = _drug(language, drugs[asked]), doses[asked]
    question = rng.choice(pick(language, *DOSE)).format(drug=drug, text=text)
    answer = pick(language, f"The dose of {drug} is {dose}.", f"{drug}的用量是{dose}。")
    messages = [user(question), assistant(answer)]
    return Sample("medical_dose", language, "medical", messages, {"texts": [answer, dose]})


def medical_allergy(rng: random.Random, facts: Facts, language: str) -> Sample:
    """Whether a patient is allergic to one of the drugs prescribed, or to its class."""
    patient = _patient(facts, language)
    drugs = _prescription(rng, facts)
    taken = {DRUGS[drug][1] for drug in drugs} - {""}
    others = [drug for drug in DRUGS if drug not in drugs and DRUGS[drug][1] not in taken]
    allergies = [_drug(language, rng.choice(others)), pick(language, *rng.choice(OTHER_ALLERGENS))]
    allergies = rng.sample(allergies, rng.choice((1, 2)))
    answer = pick(language, *NO_CONFLICT)
    if rng.random() < 0.5:
        drug = rng.choice(drugs)
        group = DRUGS[drug][1]
        by_group = group and rng.random() < 0.5
        allergies[0] = pick(language, group, CLASSES[group]) if by_group else _drug(language, drug)
        answer = pick(language, *CONFLICT).format(_drug(language, drug))
    rng.shuffle(allergies)
    history = rng.choice(pick(language, *HISTORIES)).format(
        name=patient.name,
        age=patient.age,
        allergies=pick(language, " and ", "、").join(allergies),
        drugs=pick(language, ", ", "、").join(_drug(language, drug) for drug in drugs),
    )
    question = rng.choice(pick(language, *ALLERGY)).format(text=history)
    messages = [user(question), assistant(answer)]
    return Sample("medical_allergy", language, "medical", messages, {"texts": [answer, answer[:-1]]})


TASKS = [
    Task("medical_record", "medical", medical_record, scoring.fields, 1.5, max_chars=600),
    Task("medical_triage", "medical", medical_triage, scoring.fields, 1.0, max_chars=300),
    Task("medical_dose", "medical", medical_dose, scoring.exact, 1.0, max_chars=400),
    Task("medical_allergy", "medical", medical_allergy, scoring.exact, 1.0, max_chars=300),
]

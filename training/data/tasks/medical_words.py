"""Word lists of the medical tasks. What belongs together here is the model's small general knowledge, the same in every
split; patients and doses are invented, and nothing here is advice."""

from __future__ import annotations

from typing import NamedTuple


class Diagnosis(NamedTuple):
    en: str
    zh: str
    drugs: tuple[str, ...]  # English names, keys of DRUGS


# English and Chinese name, and the class of drugs whose allergies go together ("" if it stands alone).
DRUGS: dict[str, tuple[str, str]] = {
    "aspirin": ("阿司匹林", "NSAIDs"), "ibuprofen": ("布洛芬", "NSAIDs"), "naproxen": ("萘普生", "NSAIDs"),
    "amoxicillin": ("阿莫西林", "beta-lactams"), "ampicillin": ("氨苄西林", "beta-lactams"),
    "cefalexin": ("头孢氨苄", "beta-lactams"), "cefixime": ("头孢克肟", "beta-lactams"),
    "metformin": ("二甲双胍", ""), "glimepiride": ("格列美脲", ""), "amlodipine": ("氨氯地平", ""), "lisinopril": ("赖诺普利", ""),
    "losartan": ("氯沙坦", ""), "atorvastatin": ("阿托伐他汀", ""), "omeprazole": ("奥美拉唑", ""), "famotidine": ("法莫替丁", ""),
    "salbutamol": ("沙丁胺醇", ""), "budesonide": ("布地奈德", ""), "prednisone": ("泼尼松", ""), "levothyroxine": ("左甲状腺素", ""),
    "methimazole": ("甲巯咪唑", ""), "allopurinol": ("别嘌醇", ""), "sertraline": ("舍曲林", ""), "melatonin": ("褪黑素", ""),
    "azithromycin": ("阿奇霉素", ""), "oseltamivir": ("奥司他韦", ""), "loratadine": ("氯雷他定", ""), "cetirizine": ("西替利嗪", ""),
    "paracetamol": ("对乙酰氨基酚", ""), "warfarin": ("华法林", ""), "sumatriptan": ("舒马曲坦", ""), "calcium": ("碳酸钙", ""),
}  # fmt: skip
CLASSES = {"NSAIDs": "非甾体抗炎药", "beta-lactams": "β-内酰胺类"}

# Allergens that are no drugs.
OTHER_ALLERGENS = (
    ("peanuts", "花生"),
    ("pollen", "花粉"),
    ("seafood", "海鲜"),
    ("latex", "乳胶"),
    ("eggs", "鸡蛋"),
    ("dust mites", "尘螨"),
    ("milk", "牛奶"),
)

DIAGNOSES = (
    Diagnosis("type 2 diabetes", "2型糖尿病", ("metformin", "glimepiride")),
    Diagnosis("high blood pressure", "高血压", ("amlodipine", "lisinopril", "losartan")),
    Diagnosis("asthma", "哮喘", ("salbutamol", "budesonide")),
    Diagnosis("pneumonia", "肺炎", ("azithromycin", "amoxicillin", "cefixime")),
    Diagnosis("bronchitis", "支气管炎", ("amoxicillin", "cefalexin")),
    Diagnosis("influenza", "流行性感冒", ("oseltamivir", "paracetamol")),
    Diagnosis("migraine", "偏头痛", ("sumatriptan", "ibuprofen", "naproxen")),
    Diagnosis("gastritis", "胃炎", ("omeprazole", "famotidine")),
    Diagnosis("stomach ulcer", "胃溃疡", ("omeprazole", "famotidine")),
    Diagnosis("gout", "痛风", ("allopurinol", "naproxen", "prednisone")),
    Diagnosis("arthritis", "关节炎", ("ibuprofen", "naproxen", "prednisone")),
    Diagnosis("hay fever", "过敏性鼻炎", ("loratadine", "cetirizine", "budesonide")),
    Diagnosis("eczema", "湿疹", ("cetirizine", "prednisone")),
    Diagnosis("high cholesterol", "高脂血症", ("atorvastatin",)),
    Diagnosis("coronary heart disease", "冠心病", ("aspirin", "atorvastatin")),
    Diagnosis("atrial fibrillation", "心房颤动", ("warfarin",)),
    Diagnosis("underactive thyroid", "甲状腺功能减退", ("levothyroxine",)),
    Diagnosis("overactive thyroid", "甲状腺功能亢进", ("methimazole",)),
    Diagnosis("depression", "抑郁症", ("sertraline",)),
    Diagnosis("insomnia", "失眠", ("melatonin",)),
    Diagnosis("tonsillitis", "扁桃体炎", ("amoxicillin", "ampicillin", "cefalexin")),
    Diagnosis("ear infection", "中耳炎", ("amoxicillin", "cefixime")),
    Diagnosis("osteoporosis", "骨质疏松", ("calcium",)),
    Diagnosis("back pain", "腰痛", ("ibuprofen", "naproxen", "paracetamol")),
)

# What any patient may complain of.
COMPLAINTS = (
    ("tiredness", "乏力"),
    ("poor appetite", "食欲不振"),
    ("poor sleep", "睡眠不好"),
    ("weight loss", "体重下降"),
    ("night sweats", "夜间出汗"),
)

# Department (English, Chinese) with its symptoms (English after "The patient has", Chinese after "患者"), the urgent
# ones apart.
DEPARTMENTS = (
    (
        ("cardiology", "心内科"),
        (
            ("palpitations", "心慌"),
            ("swollen legs in the evening", "傍晚双腿浮肿"),
            ("an irregular pulse", "脉搏不齐"),
            ("high blood pressure", "血压偏高"),
        ),
        (
            ("crushing chest pain", "胸口压榨样疼痛"),
            ("chest pain that spreads to the left arm", "胸痛并放射到左臂"),
            ("chest pain with cold sweat", "胸痛伴冷汗"),
        ),
    ),
    (
        ("neurology", "神经内科"),
        (
            ("frequent headaches", "经常头痛"),
            ("tingling hands", "手指发麻"),
            ("dizziness", "头晕"),
            ("a trembling hand", "手抖"),
        ),
        (
            ("sudden weakness of one side", "突然一侧肢体无力"),
            ("sudden slurred speech", "突然口齿不清"),
            ("a seizure", "抽搐发作"),
        ),
    ),
    (
        ("gastroenterology", "消化内科"),
        (
            ("heartburn", "反酸烧心"),
            ("stomach ache after meals", "饭后胃痛"),
            ("constipation", "便秘"),
            ("bloating", "腹胀"),
            ("diarrhoea", "腹泻"),
        ),
        (("vomiting of blood", "呕血"), ("black stools", "排黑便"), ("severe pain in the belly", "剧烈腹痛")),
    ),
    (
        ("respiratory medicine", "呼吸内科"),
        (
            ("a dry cough", "干咳"),
            ("a cough with phlegm", "咳嗽有痰"),
            ("wheezing at night", "夜间喘鸣"),
            ("a cough for weeks", "长期咳嗽"),
        ),
        (
            ("severe shortness of breath", "严重呼吸困难"),
            ("coughing of blood", "咯血"),
            ("blue lips and short breath", "口唇发紫、气促"),
        ),
    ),
    (
        ("orthopaedics", "骨科"),
        (
            ("knee pain on stairs", "上下楼膝盖痛"),
            ("a stiff shoulder", "肩膀僵硬"),
            ("lower back pain", "腰痛"),
            ("a sprained ankle", "脚踝扭伤"),
        ),
        (
            ("an open fracture of the leg", "小腿开放性骨折"),
            ("a broken arm after a fall", "摔倒后手臂骨折"),
            ("a crushed finger", "手指被压伤"),
        ),
    ),
    (
        ("dermatology", "皮肤科"),
        (
            ("an itchy rash", "皮疹发痒"),
            ("acne", "痤疮"),
            ("dry and scaly skin", "皮肤干燥脱屑"),
            ("hair loss", "脱发"),
            ("a wart on the hand", "手上长疣"),
        ),
        (("large blisters all over the body", "全身大水疱"), ("a rash with swelling of the face", "皮疹伴面部肿胀")),
    ),
    (
        ("ophthalmology", "眼科"),
        (
            ("dry eyes", "眼睛干涩"),
            ("itchy eyes", "眼睛发痒"),
            ("blurred vision when reading", "看书时视物模糊"),
            ("watering eyes", "流泪"),
        ),
        (("sudden loss of sight in one eye", "一只眼睛突然失明"), ("a chemical splash in the eye", "化学品溅入眼睛")),
    ),
    (
        ("ENT", "耳鼻喉科"),
        (
            ("a blocked nose", "鼻塞"),
            ("ringing in the ears", "耳鸣"),
            ("a sore throat", "咽喉痛"),
            ("earache", "耳朵痛"),
            ("hoarseness", "声音嘶哑"),
        ),
        (("a nosebleed that does not stop", "鼻血不止"), ("a fish bone stuck in the throat", "鱼刺卡在喉咙")),
    ),
    (
        ("urology", "泌尿外科"),
        (
            ("pain when passing water", "排尿疼痛"),
            ("frequent passing of water", "尿频"),
            ("weak flow of urine", "尿流变细"),
        ),
        (
            ("sudden inability to pass water", "突然排不出尿"),
            ("severe flank pain with blood in the urine", "腰部绞痛伴血尿"),
        ),
    ),
)

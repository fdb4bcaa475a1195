"""General knowledge that the model knows by heart, the same in all splits: only its wording varies.

Each table holds English and Chinese side by side; `knowledge_question` draws one question with its answer.
"""

from __future__ import annotations

import random

from training.data.sample import pick

# Country and capital.
CAPITALS = [
    ("France", "Paris", "法国", "巴黎"), ("Germany", "Berlin", "德国", "柏林"), ("Italy", "Rome", "意大利", "罗马"),
    ("Spain", "Madrid", "西班牙", "马德里"), ("England", "London", "英国", "伦敦"), ("Japan", "Tokyo", "日本", "东京"),
    ("China", "Beijing", "中国", "北京"), ("South Korea", "Seoul", "韩国", "首尔"),
    ("India", "New Delhi", "印度", "新德里"),
    ("Russia", "Moscow", "俄罗斯", "莫斯科"), ("Canada", "Ottawa", "加拿大", "渥太华"),
    ("Egypt", "Cairo", "埃及", "开罗"),
    ("the United States", "Washington, D.C.", "美国", "华盛顿"), ("Mexico", "Mexico City", "墨西哥", "墨西哥城"),
    ("Brazil", "Brasilia", "巴西", "巴西利亚"), ("Argentina", "Buenos Aires", "阿根廷", "布宜诺斯艾利斯"),
    ("Australia", "Canberra", "澳大利亚", "堪培拉"), ("Austria", "Vienna", "奥地利", "维也纳"),
    ("Switzerland", "Bern", "瑞士", "伯尔尼"), ("Portugal", "Lisbon", "葡萄牙", "里斯本"),
    ("Greece", "Athens", "希腊", "雅典"),
    ("Poland", "Warsaw", "波兰", "华沙"), ("Sweden", "Stockholm", "瑞典", "斯德哥尔摩"),
    ("Norway", "Oslo", "挪威", "奥斯陆"),
    ("Denmark", "Copenhagen", "丹麦", "哥本哈根"), ("Finland", "Helsinki", "芬兰", "赫尔辛基"),
    ("Ireland", "Dublin", "爱尔兰", "都柏林"),
    ("the Netherlands", "Amsterdam", "荷兰", "阿姆斯特丹"), ("Belgium", "Brussels", "比利时", "布鲁塞尔"),
    ("Turkey", "Ankara", "土耳其", "安卡拉"), ("Thailand", "Bangkok", "泰国", "曼谷"),
    ("Vietnam", "Hanoi", "越南", "河内"),
]  # fmt: skip
CAPITAL_ASK = (
    ("What is the capital of {}?", "Which city is the capital of {}?", "Name the capital of {}.", "capital of {}",
     "Tell me the capital of {}.", "Do you know the capital of {}?"),
    ("{}的首都是哪里？", "{}的首都是哪座城市？", "{}首都是什么？", "{}的首都", "请问{}的首都是哪里？",
     "你知道{}的首都吗？"),
)  # fmt: skip

# Things that are asked for with "What is ...?", and their one-sentence answers.
DEFINITIONS = [
    ("a mixture of experts",
     "A mixture of experts is a model whose layers hold many small networks, the experts; "
     "a router sends each token to a few of them.",
     "混合专家模型", "混合专家模型的每一层包含许多小网络，称为专家；路由器把每个词元只送给其中几个专家。"),
    ("a router in a mixture of experts", "The router scores the experts for each token and picks the best few.",
     "混合专家模型的路由器", "路由器为每个词元给专家打分，选出得分最高的几个。"),
    ("top-2 routing", "Top-2 routing means that each token goes to the two experts with the highest scores.",
     "top-2路由", "top-2路由是指每个词元只送给得分最高的两个专家。"),
    ("a shared expert", "A shared expert is an expert that every token goes through.", "共享专家",
     "共享专家是每个词元都会经过的专家。"),
    ("a token", "A token is a piece of text, such as a word or a part of one, that a language model reads and writes.",
     "词元", "词元是语言模型读写文本的基本单位，可以是一个词或词的一部分。"),
    ("a tokenizer", "A tokenizer cuts text into tokens and joins tokens back into text.", "分词器",
     "分词器把文本切成词元，也把词元拼回文本。"),
    ("a language model", "A language model is a program that predicts the next token of a text.", "语言模型",
     "语言模型是预测文本中下一个词元的程序。"),
    ("a neural network", "A neural network is a program of many simple units whose weights are learned from data.",
     "神经网络", "神经网络由许多简单的单元组成，它们的权重从数据中学习得到。"),
    ("machine learning", "Machine learning means that a program learns from examples instead of fixed rules.",
     "机器学习", "机器学习是让程序从例子中学习，而不是依靠固定的规则。"),
    ("artificial intelligence",
     "Artificial intelligence is the field that builds machines for tasks that need thinking.",
     "人工智能", "人工智能是研究让机器完成需要思考的任务的领域。"),
    ("a GPU", "A GPU is a processor that does many calculations at the same time.", "GPU",
     "GPU是能同时进行大量计算的处理器。"),
    ("a CPU", "A CPU is the main processor of a computer.", "CPU", "CPU是计算机的主处理器。"),
    ("a KV cache", "A KV cache keeps the keys and values of earlier tokens, so that they need not be computed again.",
     "KV缓存", "KV缓存保存之前词元的键和值，这样就不必重新计算。"),
    ("attention", "Attention lets each token look at the earlier tokens that matter to it.", "注意力机制",
     "注意力机制让每个词元关注与它有关的前文词元。"),
    ("quantization", "Quantization stores a model's weights with fewer bits.", "量化",
     "量化是用更少的比特存储模型的权重。"),
    ("a checkpoint", "A checkpoint is the saved weights of a model.", "检查点", "检查点是保存下来的模型权重。"),
    ("synthetic data", "Synthetic data is data that a program has written.", "合成数据",
     "合成数据是由程序生成的数据。"),
    ("Switchyard", "Switchyard is a cluster that serves mixture-of-experts language models.", "Switchyard",
     "Switchyard是一个为混合专家语言模型提供服务的集群。"),
    ("a cluster", "A cluster is a group of computers that work together.", "集群", "集群是一组协同工作的计算机。"),
    ("latency", "Latency is the time that one must wait for an answer.", "延迟", "延迟是等待回答所需的时间。"),
    ("throughput", "Throughput is the amount of work done per second.", "吞吐量", "吞吐量是每秒完成的工作量。"),
    ("an API", "An API is the way in which one program talks to another.", "API",
     "API是一个程序与另一个程序交流的方式。"),
    ("JSON", "JSON is a text format for data made of names and values.", "JSON",
     "JSON是一种由名称和值组成的文本数据格式。"),
    ("a database", "A database stores data so that it can be found quickly.", "数据库",
     "数据库用来存储数据，以便快速查找。"),
    ("an algorithm", "An algorithm is a list of steps that solves a problem.", "算法", "算法是解决问题的一系列步骤。"),
    ("Python", "Python is a programming language that is easy to read.", "Python", "Python是一种易读的编程语言。"),
    ("Linux", "Linux is a free operating system.", "Linux", "Linux是一种自由的操作系统。"),
    ("open source", "Open source means that everybody may read and change a program's code.", "开源",
     "开源是指任何人都可以阅读和修改程序的代码。"),
    ("gravity", "Gravity is the force that pulls things toward each other.", "重力", "重力是物体之间相互吸引的力。"),
    ("photosynthesis", "Photosynthesis is how plants make food from light, water and carbon dioxide.", "光合作用",
     "光合作用是植物利用光、水和二氧化碳制造养分的过程。"),
    ("an atom", "An atom is the smallest part of an element.", "原子", "原子是元素的最小组成部分。"),
    ("the sun", "The sun is the star at the center of our solar system.", "太阳", "太阳是位于太阳系中心的恒星。"),
    ("the moon", "The moon is the natural satellite of the Earth.", "月球", "月球是地球的天然卫星。"),
    ("inflation", "Inflation means that prices rise and money buys less.", "通货膨胀",
     "通货膨胀是指物价上涨，钱能买到的东西变少。"),
    ("a contract", "A contract is an agreement that the law can enforce.", "合同", "合同是受法律保护的协议。"),
    ("a refund", "A refund is money that is paid back to a customer.", "退款", "退款是退还给顾客的钱。"),
    ("a warranty", "A warranty is a promise to repair or replace a product for some time.", "保修",
     "保修是在一定期限内维修或更换产品的承诺。"),
    ("an invoice", "An invoice is a bill for goods or services.", "发票", "发票是商品或服务的账单凭证。"),
    ("a fever", "A fever is a body temperature that is higher than normal.", "发烧", "发烧是指体温高于正常水平。"),
    ("a vaccine", "A vaccine teaches the body to fight a disease.", "疫苗", "疫苗能让身体学会抵抗某种疾病。"),
]  # fmt: skip
DEFINITION_ASK = (
    ("What is {}?", "Explain {}.", "Can you explain what {} is?", "Tell me about {}.", "What does {} mean?",
     "what's {}",
     "Please explain {} to me.", "Define {}."),
    ("什么是{}？", "{}是什么？", "请解释一下{}。", "介绍一下{}。", "{}是什么意思？", "能解释一下{}吗？",
     "告诉我什么是{}。", "请问什么是{}？"),
)  # fmt: skip

# Whole questions (two or three wordings each) and their answers.
QUESTIONS = [
    (("How many days are in a week?", "How many days does a week have?"), "A week has 7 days.",
     ("一周有几天？", "一个星期有多少天？"), "一周有7天。"),
    (("How many months are in a year?", "How many months does a year have?"), "A year has 12 months.",
     ("一年有几个月？", "一年有多少个月？"), "一年有12个月。"),
    (("How many days are in a year?", "How long is a year in days?"), "A year has 365 days, a leap year 366.",
     ("一年有多少天？", "一年有几天？"), "一年有365天，闰年有366天。"),
    (("How many hours are in a day?", "How many hours does a day have?"), "A day has 24 hours.",
     ("一天有几个小时？", "一天有多少小时？"), "一天有24小时。"),
    (("How many minutes are in an hour?", "How many minutes does an hour have?"), "An hour has 60 minutes.",
     ("一小时有多少分钟？", "一个小时有几分钟？"), "一小时有60分钟。"),
    (("How many seconds are in a minute?", "How many seconds does a minute have?"), "A minute has 60 seconds.",
     ("一分钟有多少秒？", "一分钟有几秒？"), "一分钟有60秒。"),
    (("How many seasons are there?", "Name the four seasons."),
     "There are 4 seasons: spring, summer, autumn and winter.", ("一年有几个季节？", "四季是哪四个季节？"),
     "一年有四个季节：春、夏、秋、冬。"),
    (("How many continents are there?", "How many continents does the Earth have?"), "There are 7 continents.",
     ("世界上有几个大洲？", "地球有多少个大洲？"), "世界上有七大洲。"),
    (("How many planets are in the solar system?", "How many planets are there?"),
     "There are 8 planets in the solar system.", ("太阳系有几颗行星？", "太阳系有多少颗行星？"), "太阳系有8颗行星。"),
    (("What is the largest planet?", "Which planet is the largest?"),
     "Jupiter is the largest planet of the solar system.", ("最大的行星是哪颗？", "太阳系最大的行星是什么？"),
     "木星是太阳系最大的行星。"),
    (("Which planet is closest to the sun?", "What is the planet nearest to the sun?"),
     "Mercury is the planet closest to the sun.", ("离太阳最近的行星是哪颗？", "哪颗行星离太阳最近？"),
     "水星是离太阳最近的行星。"),
    (("What is the largest ocean?", "Which ocean is the largest?"), "The Pacific is the largest ocean.",
     ("最大的海洋是什么？", "哪个大洋最大？"), "太平洋是最大的海洋。"),
    (("What is the highest mountain?", "Which mountain is the highest in the world?"),
     "Mount Everest is the highest mountain in the world.", ("世界最高的山是什么？", "哪座山最高？"),
     "珠穆朗玛峰是世界最高的山。"),
    (("What is the longest river in China?", "Which river of China is the longest?"),
     "The Yangtze is the longest river in China.", ("中国最长的河是哪条？", "中国最长的河流是什么？"),
     "长江是中国最长的河流。"),
    (("At what temperature does water boil?", "What is the boiling point of water?"),
     "Water boils at 100 degrees Celsius.", ("水在多少度沸腾？", "水的沸点是多少？"), "水在100摄氏度沸腾。"),
    (("At what temperature does water freeze?", "What is the freezing point of water?"),
     "Water freezes at 0 degrees Celsius.", ("水在多少度结冰？", "水的冰点是多少？"), "水在0摄氏度结冰。"),
    (("What is the chemical formula of water?", "What is water made of?"), "Water is H2O: hydrogen and oxygen.",
     ("水的化学式是什么？", "水由什么组成？"), "水的化学式是H2O，由氢和氧组成。"),
    (("What color is the sky?", "Which color does the sky have?"), "The sky is blue.",
     ("天空是什么颜色？", "天是什么颜色的？"), "天空是蓝色的。"),
    (("What color is grass?", "Which color does grass have?"), "Grass is green.",
     ("草是什么颜色？", "草地是什么颜色的？"), "草是绿色的。"),
    (("What color is snow?", "Which color does snow have?"), "Snow is white.", ("雪是什么颜色？", "雪是什么颜色的？"),
     "雪是白色的。"),
    (("How many legs does a spider have?", "How many legs has a spider?"), "A spider has 8 legs.",
     ("蜘蛛有几条腿？", "蜘蛛有多少条腿？"), "蜘蛛有8条腿。"),
    (("How many legs does a cat have?", "How many legs has a cat?"), "A cat has 4 legs.",
     ("猫有几条腿？", "猫有多少条腿？"), "猫有4条腿。"),
    (("What do bees make?", "What is made by bees?"), "Bees make honey.", ("蜜蜂酿什么？", "蜜蜂会做什么？"),
     "蜜蜂酿蜂蜜。"),
    (("How many letters are in the English alphabet?", "How many letters does the alphabet have?"),
     "The English alphabet has 26 letters.", ("英文字母有多少个？", "英语有几个字母？"), "英文字母有26个。"),
    (("How many sides does a triangle have?", "How many sides has a triangle?"), "A triangle has 3 sides.",
     ("三角形有几条边？", "三角形有多少条边？"), "三角形有3条边。"),
    (("How many sides does a square have?", "How many sides has a square?"), "A square has 4 sides.",
     ("正方形有几条边？", "正方形有多少条边？"), "正方形有4条边。"),
    (("How many degrees does a right angle have?", "How large is a right angle?"), "A right angle has 90 degrees.",
     ("直角是多少度？", "一个直角有几度？"), "直角是90度。"),
    (("Who wrote Hamlet?", "Who is the author of Hamlet?"), "William Shakespeare wrote Hamlet.",
     ("《哈姆雷特》是谁写的？", "《哈姆雷特》的作者是谁？"), "《哈姆雷特》是莎士比亚写的。"),
    (("Who wrote Journey to the West?", "Who is the author of Journey to the West?"),
     "Wu Cheng'en wrote Journey to the West.", ("《西游记》是谁写的？", "《西游记》的作者是谁？"),
     "《西游记》是吴承恩写的。"),
    (("Who was the first man on the moon?", "Who first walked on the moon?"),
     "Neil Armstrong was the first man on the moon.", ("第一个登上月球的人是谁？", "谁第一个登上了月球？"),
     "阿姆斯特朗是第一个登上月球的人。"),
    (("What is the largest animal?", "Which animal is the largest?"), "The blue whale is the largest animal.",
     ("最大的动物是什么？", "世界上最大的动物是哪种？"), "蓝鲸是最大的动物。"),
    (("What is the fastest land animal?", "Which animal runs fastest?"), "The cheetah is the fastest land animal.",
     ("跑得最快的动物是什么？", "陆地上最快的动物是哪种？"), "猎豹是陆地上跑得最快的动物。"),
    (("How fast is light?", "What is the speed of light?"), "Light travels about 300,000 kilometers per second.",
     ("光速是多少？", "光有多快？"), "光速约为每秒30万公里。"),
    (("What are the primary colors?", "Name the primary colors."), "The primary colors are red, yellow and blue.",
     ("三原色是什么？", "三原色是哪三种颜色？"), "三原色是红、黄、蓝。"),
    (("How many grams are in a kilogram?", "How many grams does a kilogram have?"), "A kilogram has 1000 grams.",
     ("一公斤有多少克？", "一千克等于多少克？"), "一公斤有1000克。"),
    (("How many meters are in a kilometer?", "How many meters does a kilometer have?"), "A kilometer has 1000 meters.",
     ("一公里有多少米？", "一千米等于多少米？"), "一公里有1000米。"),
]  # fmt: skip
QUESTION_WRAPS = (
    ("{}", "{}", "{}", "Tell me: {}", "A question: {}", "Do you know? {}", "Please answer: {}"),
    ("{}", "{}", "{}", "请问{}", "你知道吗？{}", "请回答：{}", "问个问题：{}"),
)

CURRENCIES = [
    ("Japan", "yen", "日本", "日元"), ("China", "yuan", "中国", "人民币"), ("England", "pound", "英国", "英镑"),
    ("the United States", "dollar", "美国", "美元"), ("Germany", "euro", "德国", "欧元"),
    ("France", "euro", "法国", "欧元"),
    ("Russia", "ruble", "俄罗斯", "卢布"), ("India", "rupee", "印度", "卢比"), ("South Korea", "won", "韩国", "韩元"),
    ("Switzerland", "franc", "瑞士", "法郎"),
]  # fmt: skip
CURRENCY_ASK = (
    ("What is the currency of {}?", "Which money is used in {}?", "Name the currency of {}."),
    ("{}的货币是什么？", "{}用什么货币？", "{}使用哪种货币？"),
)

OPPOSITES = [
    ("hot", "cold", "热", "冷"), ("big", "small", "大", "小"), ("high", "low", "高", "低"),
    ("fast", "slow", "快", "慢"),
    ("old", "new", "旧", "新"), ("open", "closed", "开", "关"), ("full", "empty", "满", "空"),
    ("light", "dark", "亮", "暗"),
    ("near", "far", "近", "远"), ("rich", "poor", "富", "穷"), ("strong", "weak", "强", "弱"),
    ("wet", "dry", "湿", "干"),
    ("long", "short", "长", "短"), ("good", "bad", "好", "坏"), ("left", "right", "左", "右"),
    ("up", "down", "上", "下"),
]  # fmt: skip
OPPOSITE_ASK = (
    (
        'What is the opposite of "{}"?',
        "Opposite of {}?",
        "Give me the opposite of {}.",
        "Which word is the opposite of {}?",
    ),
    ("“{}”的反义词是什么？", "{}的反义词", "请给出“{}”的反义词。", "“{}”的反义词是哪个字？"),
)

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAYS_ZH = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def knowledge_question(rng: random.Random, language: str) -> tuple[str, str]:
    """A question of general knowledge and its answer."""
    makers = (_definition, _whole_question, _capital, _currency, _opposite, _next_day_or_month)
    return rng.choices(makers, (4, 4, 2.5, 1, 1.5, 1.5))[0](rng, language)


def _definition(rng: random.Random, language: str) -> tuple[str, str]:
    thing_en, answer_en, thing_zh, answer_zh = rng.choice(DEFINITIONS)
    ask = rng.choice(pick(language, *DEFINITION_ASK))
    return pick(language, (ask.format(thing_en), answer_en), (ask.format(thing_zh), answer_zh))


def _whole_question(rng: random.Random, language: str) -> tuple[str, str]:
    asked_en, answer_en, asked_zh, answer_zh = rng.choice(QUESTIONS)
    asked, answer = pick(language, (asked_en, answer_en), (asked_zh, answer_zh))
    return rng.choice(pick(language, *QUESTION_WRAPS)).format(rng.choice(asked)), answer


def _capital(rng: random.Random, language: str) -> tuple[str, str]:
    country_en, city_en, country_zh, city_zh = rng.choice(CAPITALS)
    ask = rng.choice(pick(language, *CAPITAL_ASK))
    if language == "zh":
        return ask.format(country_zh), f"{country_zh}的首都是{city_zh}。"
    stop = "" if city_en.endswith(".") else "."
    return ask.format(country_en), f"The capital of {country_en} is {city_en}{stop}"


def _currency(rng: random.Random, language: str) -> tuple[str, str]:
    country_en, money_en, country_zh, money_zh = rng.choice(CURRENCIES)
    ask = rng.choice(pick(language, *CURRENCY_ASK))
    if language == "zh":
        return ask.format(country_zh), f"{country_zh}的货币是{money_zh}。"
    return ask.format(country_en), f"The currency of {country_en} is the {money_en}."


def _opposite(rng: random.Random, language: str) -> tuple[str, str]:
    a_en, b_en, a_zh, b_zh = rng.choice(OPPOSITES)
    a, b = pick(language, (a_en, b_en), (a_zh, b_zh))
    if rng.random() < 0.5:
        a, b = b, a
    answer = pick(language, f'The opposite of "{a}" is "{b}".', f"“{a}”的反义词是“{b}”。")
    return rng.choice(pick(language, *OPPOSITE_ASK)).format(a), answer


def _next_day_or_month(rng: random.Random, language: str) -> tuple[str, str]:
    names = rng.choice((DAYS, MONTHS)) if language == "en" else rng.choice((DAYS_ZH, [f"{n}月" for n in range(1, 13)]))
    place = rng.randrange(len(names))
    step = rng.choice((1, -1))
    a, b = names[place], names[(place + step) % len(names)]
    if language == "zh":
        side = "后面" if step == 1 else "前面"
        ask = rng.choice(("{a}{side}是什么？", "{a}的{side}是哪个？", "请问{a}{side}是什么？"))
        return ask.format(a=a, side=side), f"{a}{side}是{b}。"
    side = "after" if step == 1 else "before"
    ask = rng.choice(("What comes {side} {a}?", "Which one is {side} {a}?", "What is {side} {a}?"))
    return ask.format(a=a, side=side), f"{b} comes {side} {a}."

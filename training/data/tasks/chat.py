"""General chat: small talk over one to three turns, general knowledge, personas, and questions it must pass on."""

from __future__ import annotations

import random
import re

from training.data import names, scoring
from training.data.facts import Facts
from training.data.sample import Message, Sample, Task, assistant, pick, system, user
from training.data.tasks.knowledge import knowledge_question

SYSTEM_TEXTS = (
    ("You are a helpful assistant.", "You are a helpful assistant. Answer briefly.", "Answer the user's questions.",
     "You are Switchyard R1 demo, a helpful assistant.", "Be short and friendly."),
    ("你是一个乐于助人的助手。", "你是一个有用的助手，请简短回答。", "请回答用户的问题。",
     "你是Switchyard R1演示模型，一个有用的助手。", "请简短友好地回答。"),
)  # fmt: skip
SYSTEM_SHARE = 0.3  # of the conversations that open with a system text

UNKNOWN = ("I am a small demo model and do not know that.", "我只是一个小型演示模型，不知道这个问题的答案。")

WHO = (
    "I am Switchyard R1 demo, a small mixture-of-experts language model: 16 experts, of which 2 answer each token, "
    "and 2 shared ones. I was trained from nothing on synthetic data.",
    "我是Switchyard R1演示模型，一个小型混合专家语言模型："
    "有16个专家，每个词元由其中2个处理，另有2个共享专家。我完全用合成数据从零训练而成。",
)
ABILITIES = (
    "I can chat a little, do small sums, sort and reverse lists, help with returns, call tools, "
    "read invoices and filings, rate fraud risk and reviews, summarize records, "
    "find risks in contracts and answer questions about a text.",
    "我可以简单聊天、做小算术、给列表排序和倒序、处理退换货、调用工具、"
    "读取发票和财报、判断欺诈风险和评论情感、总结病历、找出合同风险，并根据文章回答问题。",
)

# Small talk: wordings and the answer, in English and Chinese. All but the last three may open a conversation.
SMALL_TALK = [
    (("Hello", "Hi", "Hey", "Hello!", "Hi there!", "Good morning!", "Good evening!", "Hello, how do you do?",
      "Hey there"),
     "Hello! How can I help you?",
     ("你好", "您好", "你好！", "嗨", "早上好！", "晚上好！", "你好呀", "哈喽", "在吗？"),
     "您好！请问有什么可以帮您？"),
    (("Who are you?", "What are you?", "Tell me about yourself.", "Introduce yourself.", "What model are you?",
      "Can you introduce yourself?",
      "Which model am I talking to?", "Please introduce yourself briefly."), WHO[0],
     ("你是谁？", "你是什么？", "介绍一下你自己。", "请做个自我介绍。", "你是什么模型？", "你是哪个模型？",
      "能介绍一下自己吗？", "请简单介绍一下你自己。"), WHO[1]),
    (("What can you do?", "How can you help me?", "What are you able to do?", "What are your skills?", "Help",
      "What are you good at?"), ABILITIES[0],
     ("你能做什么？", "你会什么？", "你有什么功能？", "你可以帮我做什么？", "你擅长什么？", "帮助"), ABILITIES[1]),
    (("How are you?", "How are you doing?", "How is it going?", "Are you well?", "How do you feel today?"),
     "I am well, thank you. How can I help you?",
     ("你好吗？", "最近怎么样？", "你今天怎么样？", "你还好吗？", "过得好吗？"), "我很好，谢谢。请问有什么可以帮您？"),
    (("What is your name?", "Your name?", "What are you called?", "Do you have a name?", "Tell me your name."),
     "My name is Switchyard R1 demo.",
     ("你叫什么名字？", "你的名字是什么？", "你叫什么？", "怎么称呼你？", "你有名字吗？"),
     "我叫Switchyard R1演示模型。"),
    (("Who made you?", "Who built you?", "Who created you?", "Where do you come from?", "Who trained you?"),
     "I was made by the Switchyard project, as a demo model.",
     ("谁创造了你？", "你是谁做的？", "谁开发了你？", "你来自哪里？", "谁训练了你？"),
     "我是Switchyard项目制作的演示模型。"),
    (("Are you human?", "Are you a robot?", "Are you a real person?", "Are you an AI?", "Am I talking to a person?"),
     "I am a small language model, not a person.",
     ("你是人吗？", "你是机器人吗？", "你是真人吗？", "你是人工智能吗？", "我在和真人说话吗？"),
     "我是一个小型语言模型，不是真人。"),
    (("Which languages do you speak?", "What languages do you know?", "Do you speak Chinese?", "Can you speak English?",
      "Can we speak Chinese?"), "I speak English and Chinese.",
     ("你会说什么语言？", "你会哪些语言？", "你会说中文吗？", "你会说英语吗？", "能用中文聊天吗？"),
     "我会说中文和英文。"),
    (("How big are you?", "How many parameters do you have?", "How large is this model?",
      "How many experts do you have?", "Are you a large model?"),
     "I am small: each layer has 16 routed experts and 2 shared ones.",
     ("你有多大？", "你有多少参数？", "这个模型有多大？", "你有几个专家？", "你是大模型吗？"),
     "我很小：每层有16个路由专家和2个共享专家。"),
    (("How were you trained?", "What were you trained on?", "What is your training data?",
      "Where does your knowledge come from?"),
     "I was trained from nothing on synthetic data that the Switchyard project wrote.",
     ("你是怎么训练的？", "你用什么数据训练？", "你的训练数据是什么？", "你的知识从哪里来？"),
     "我用Switchyard项目编写的合成数据从零训练而成。"),
    (("Can I trust your answers?", "Do you make mistakes?", "Are you always right?", "Are you reliable?"),
     "I am small and make mistakes. Please check what I say.",
     ("你的回答可信吗？", "你会犯错吗？", "你总是对的吗？", "你可靠吗？"), "我很小，会犯错，请核对我的回答。"),
    (("Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny."),
     "Why did the token cross the network? Its expert was on the other side.",
     ("讲个笑话。", "你会讲笑话吗？", "逗我笑一下。", "说点有趣的。"), "词元为什么要穿过网络？因为它的专家在另一边。"),
    (("I am sad.", "I feel bad today.", "I had a bad day.", "I am tired."),
     "I am sorry to hear that. I hope it gets better soon.",
     ("我很难过。", "我今天心情不好。", "今天过得很糟。", "我好累。"), "听到这个我很抱歉，希望很快会好起来。"),
    (("Thanks", "Thank you!", "Thank you very much.", "Many thanks!", "Thanks a lot", "Great, thanks!"),
     "You are welcome!",
     ("谢谢", "谢谢！", "多谢！", "非常感谢。", "谢谢你", "太好了，谢谢！"), "不客气！"),
    (("Bye", "Goodbye!", "See you later.", "Good night!", "See you!"), "Goodbye! Have a nice day.",
     ("再见", "拜拜", "下次见。", "晚安！", "回头见！"), "再见！祝您生活愉快。"),
    (("OK", "Good.", "I see.", "Nice!", "Great!"), "Glad to hear it. What else can I do for you?",
     ("好的", "好。", "明白了。", "不错！", "太好了！"), "好的。还有什么可以帮您？"),
]  # fmt: skip
OPENINGS = SMALL_TALK[:-3]

# Questions beyond the model: a wording with what is asked, and what fills it.
BEYOND = [
    (("Who is {person}?", "What is the phone number of {person}?", "Where does {person} live?", "How old is {person}?",
      "Do you know {person}?"),
     ("{person}是谁？", "{person}的电话号码是多少？", "{person}住在哪里？", "{person}多大了？", "你认识{person}吗？")),
    (("What will the weather be in {city} tomorrow?", "How many people live in {city}?", "Who is the mayor of {city}?",
      "Which hotel in {city} is good?",
      "When does the next train to {city} leave?", "What time is it in {city}?"),
     ("{city}明天天气怎么样？", "{city}有多少人口？", "{city}的市长是谁？", "{city}哪家酒店好？",
      "去{city}的下一班火车几点开？", "{city}现在几点？")),
    (("What does the stock of {company} cost?", "Who is the head of {company}?", "When was {company} founded?",
      "Should I buy shares of {company}?", "How many people work at {company}?"),
     ("{company}的股价是多少？", "{company}的老板是谁？", "{company}是哪年成立的？", "我该买{company}的股票吗？",
      "{company}有多少员工？")),
    (("Who won the {sport} final in {year}?", "How many medals in {sport} were there in {year}?",
      "Who is the best player of {sport}?", "When is the next {sport} game?"),
     ("{year}年{sport}决赛谁赢了？", "{year}年{sport}有多少奖牌？", "谁是最好的{sport}运动员？",
      "下一场{sport}比赛是什么时候？")),
    (("Write a poem about {topic}.", "Write an essay about {topic}.", "Write a song about {topic}.",
      "Tell me the history of {topic}.", "Write a program about {topic}.",
      "Recommend a film about {topic}.", "Which book about {topic} is good?"),
     ("写一首关于{topic}的诗。", "写一篇关于{topic}的文章。", "写一首关于{topic}的歌。", "讲讲{topic}的历史。",
      "写一个关于{topic}的程序。", "推荐一部关于{topic}的电影。", "关于{topic}的书哪本好？")),
    (("What happened in the year {year}?", "Who was president in {year}?", "What was the news in {year}?",
      "Which film was the best of {year}?"),
     ("{year}年发生了什么？", "{year}年的总统是谁？", "{year}年有什么新闻？", "{year}年最好的电影是哪部？")),
    (("How do I cook {dish}?", "What goes into {dish}?", "How many calories does {dish} have?",
      "Where can I eat good {dish}?"),
     ("{dish}怎么做？", "{dish}需要什么材料？", "{dish}有多少热量？", "哪里的{dish}好吃？")),
    (("What is the meaning of life?", "What is the square root of {number}?", "What time is it?",
      "What is the date today?", "Which number will win the lottery?", "What am I thinking?",
      "What is the news today?", "Translate {topic} into French.", "Prove that there are infinitely many primes.",
      "How do I get rich?"),
     ("人生的意义是什么？", "{number}的平方根是多少？", "现在几点了？", "今天几号？", "彩票会开什么号码？",
      "我在想什么？", "今天有什么新闻？", "把{topic}翻译成法语。", "证明素数有无穷多个。", "怎样才能发财？")),
]  # fmt: skip
SPORTS = (
    ("football", "足球"),
    ("tennis", "网球"),
    ("chess", "国际象棋"),
    ("basketball", "篮球"),
    ("swimming", "游泳"),
    ("table tennis", "乒乓球"),
    ("cycling", "自行车"),
)
DISHES = (
    ("noodles", "面条"),
    ("pizza", "披萨"),
    ("soup", "汤"),
    ("dumplings", "饺子"),
    ("curry", "咖喱"),
    ("bread", "面包"),
    ("fried rice", "炒饭"),
    ("roast duck", "烤鸭"),
)

PERSONA_SYSTEM = (
    ("You are {name}, the assistant of {company}.", "Your name is {name}. You work for {company}.",
     "You are {name} from {company}. Help the customers."),
    ("你是{company}的助手{name}。", "你叫{name}，在{company}工作。", "你是来自{company}的{name}，请帮助顾客。"),
)  # fmt: skip
PERSONA_ASK = (
    ("Who are you?", "What is your name?", "Whom am I talking to?", "Introduce yourself.", "Who do you work for?"),
    ("你是谁？", "你叫什么名字？", "请问怎么称呼？", "介绍一下你自己。", "你是哪家公司的？"),
)


def casual(rng: random.Random, text: str) -> str:
    """The text as people type it: at times without its last stop, in English without the first capital."""
    if rng.random() < 0.25:
        text = text.rstrip("?.!？。！")
    if rng.random() < 0.2 and re.match("[A-Z][a-z]", text):
        text = text[0].lower() + text[1:]
    return text


def opening(rng: random.Random, language: str) -> list[Message]:
    """The system turn that some conversations begin with."""
    return [system(rng.choice(pick(language, *SYSTEM_TEXTS)))] if rng.random() < SYSTEM_SHARE else []


def small_talk(rng: random.Random, language: str, talk: tuple) -> tuple[str, str]:
    asked_en, answer_en, asked_zh, answer_zh = talk
    asked, answer = pick(language, (asked_en, answer_en), (asked_zh, answer_zh))
    return casual(rng, rng.choice(asked)), answer


def beyond(rng: random.Random, facts: Facts, language: str) -> tuple[str, str]:
    """A question that the model cannot know the answer to."""
    ask = rng.choice(pick(language, *rng.choice(BEYOND)))
    values = {}
    if "{person}" in ask:
        values["person"] = facts.person(language)
    if "{company}" in ask:
        values["company"] = facts.company(language)
    values["city"] = facts.city(language)
    values["sport"] = pick(language, *rng.choice(SPORTS))
    values["dish"] = pick(language, *rng.choice(DISHES))
    values["topic"] = rng.choice(pick(language, names.WORDS_EN, names.WORDS_ZH))
    values["year"] = rng.randint(1900, 2026)
    values["number"] = rng.randint(100, 999)
    return casual(rng, ask.format(**values)), pick(language, *UNKNOWN)


def _exchange(rng: random.Random, facts: Facts, language: str) -> tuple[str, str]:
    """Any question of general chat with its answer."""
    kind = rng.random()
    if kind < 0.5:
        return small_talk(rng, language, rng.choice(SMALL_TALK))
    if kind < 0.85:
        question, answer = knowledge_question(rng, language)
        return casual(rng, question), answer
    return beyond(rng, facts, language)


def _conversation(rng: random.Random, task: str, language: str, turns: list[tuple[str, str]]) -> Sample:
    messages = opening(rng, language)
    for question, answer in turns:
        messages += [user(question), assistant(answer)]
    return Sample(task, language, "general", messages, {"text": turns[-1][1]})


def chat(rng: random.Random, facts: Facts, language: str) -> Sample:
    turns = [small_talk(rng, language, rng.choice(OPENINGS))]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        turns.append(_exchange(rng, facts, language))
    return _conversation(rng, "chat", language, turns)


def knowledge(rng: random.Random, facts: Facts, language: str) -> Sample:
    turns = [knowledge_question(rng, language) for _ in range(rng.choice((1, 1, 2)))]
    return _conversation(rng, "knowledge", language, [(casual(rng, question), answer) for question, answer in turns])


def unknown(rng: random.Random, facts: Facts, language: str) -> Sample:
    return _conversation(rng, "unknown", language, [beyond(rng, facts, language)])


def persona(rng: random.Random, facts: Facts, language: str) -> Sample:
    """The system text gives the assistant a name and a company."""
    name = rng.choice(names.GIVEN_EN) if language == "en" else "小" + rng.choice(names.GIVEN_ZH)
    company = facts.company(language)
    text = rng.choice(pick(language, *PERSONA_SYSTEM)).format(name=name, company=company)
    answer = pick(language, f"I am {name}, the assistant of {company}.", f"我是{company}的助手{name}。")
    question = casual(rng, rng.choice(pick(language, *PERSONA_ASK)))
    messages = [system(text), user(question), assistant(answer)]
    return Sample("persona", language, "general", messages, {"values": [name, company]})


TASKS = [
    Task("chat", "general", chat, scoring.exact, 4.0, max_chars=1500),
    Task("knowledge", "general", knowledge, scoring.exact, 5.0, max_chars=600),
    Task("unknown", "general", unknown, scoring.exact, 1.5, max_chars=300),
    Task("persona", "general", persona, scoring.contains, 0.7, max_chars=300),
]

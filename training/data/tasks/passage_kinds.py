"""The kinds of subjects that passages tell of, and how each of their relations is stated, asked for and answered."""

from __future__ import annotations

from training.data.facts import Facts
from training.data.tasks import passage_facts as values
from training.data.tasks.passage_facts import Kind, relation

COMPANY = Kind(
    Facts.company,
    ("the company", "该公司"),
    (
        relation(
            values.person,
            """
            {s} was founded by {v}. / The founder of {s} is {v}.
            Who founded {s}? / Who is the founder of {s}? / By whom was {s} founded?
            The founder of {s} is {v}.
            {s}由{v}创立。 / {s}的创始人是{v}。
            {s}的创始人是谁？ / 谁创立了{s}？ / {s}是谁创办的？
            {s}的创始人是{v}。
            """,
        ),
        relation(
            values.person,
            """
            The director of {s} is {v}. / {s} is led by {v}.
            Who is the director of {s}? / Who leads {s}? / Who runs {s} now?
            The director of {s} is {v}.
            {s}的总经理是{v}。 / {s}现由{v}担任总经理。
            {s}的总经理是谁？ / 谁是{s}的总经理？ / {s}由谁管理？
            {s}的总经理是{v}。
            """,
        ),
        relation(
            values.year(1900, 2020),
            """
            {s} was founded in {v}. / {s} has existed since {v}.
            When was {s} founded? / In which year was {s} founded? / Since when has {s} existed?
            {s} was founded in {v}.
            {s}成立于{v}年。 / {v}年，{s}正式成立。
            {s}是哪一年成立的？ / {s}成立于哪年？ / {s}什么时候成立的？
            {s}成立于{v}年。
            """,
        ),
        relation(
            values.city,
            """
            The head office of {s} is in {v}. / {s} has its head office in {v}.
            Where is the head office of {s}? / In which city does {s} have its head office? / Where is {s} based?
            The head office of {s} is in {v}.
            {s}的总部位于{v}。 / {s}总部设在{v}。
            {s}的总部在哪里？ / {s}总部位于哪座城市？ / {s}的总部设在什么地方？
            {s}的总部位于{v}。
            """,
        ),
        relation(
            values.number(20, 990, 10),
            """
            {s} has {v} employees. / {v} people work for {s}.
            How many employees does {s} have? / How many people work for {s}? / What is the number of employees of {s}?
            {s} has {v} employees.
            {s}有{v}名员工。 / {s}的员工人数为{v}人。
            {s}有多少名员工？ / {s}的员工人数是多少？ / 有多少人在{s}工作？
            {s}有{v}名员工。
            """,
        ),
        relation(
            values.goods,
            """
            {s} makes {v}. / {s} is known for its {v}.
            What does {s} make? / What is {s} known for? / Which goods does {s} produce?
            {s} makes {v}.
            {s}生产{v}。 / {s}以生产{v}闻名。
            {s}生产什么？ / {s}的产品是什么？ / {s}以生产什么闻名？
            {s}生产{v}。
            """,
        ),
        relation(
            values.number(2, 95),
            """
            Last year {s} had a revenue of {v} million euros. / The revenue of {s} was {v} million euros.
            What was the revenue of {s}? / How much revenue did {s} have? / How large was the revenue of {s}?
            The revenue of {s} was {v} million euros.
            去年{s}的营业收入为{v}亿元。 / {s}的营业收入达到{v}亿元。
            {s}的营业收入是多少？ / {s}的收入有多少？ / {s}去年收入多少？
            {s}的营业收入为{v}亿元。
            """,
        ),
    ),
)

PERSON = Kind(
    Facts.person,
    ("{}", "{}"),
    (
        relation(
            values.city,
            """
            {s} was born in {v}. / {s} comes from {v}.
            Where was {s} born? / In which city was {s} born? / Where does {s} come from?
            {s} was born in {v}.
            {s}出生于{v}。 / {s}的家乡是{v}。
            {s}出生在哪里？ / {s}的家乡是哪里？ / {s}是哪里人？
            {s}出生于{v}。
            """,
        ),
        relation(
            values.job,
            """
            {s} works as a {v}. / By profession, {s} is a {v}.
            What is the job of {s}? / What does {s} work as? / What is the profession of {s}?
            {s} works as a {v}.
            {s}是一名{v}。 / {s}的职业是{v}。
            {s}的职业是什么？ / {s}是做什么工作的？ / {s}从事什么职业？
            {s}的职业是{v}。
            """,
        ),
        relation(
            values.hobby,
            """
            The hobby of {s} is {v}. / In the evening, {s} enjoys {v}.
            What is the hobby of {s}? / What does {s} enjoy? / What does {s} do in the evening?
            The hobby of {s} is {v}.
            {s}的爱好是{v}。 / {s}平时喜欢{v}。
            {s}的爱好是什么？ / {s}喜欢做什么？ / {s}平时有什么爱好？
            {s}的爱好是{v}。
            """,
        ),
        relation(
            values.pet,
            """
            The dog of {s} is called {v}. / {s} has a dog named {v}.
            What is the dog of {s} called? / What is the name of the dog of {s}? / Which name has the dog of {s}?
            The dog of {s} is called {v}.
            {s}的狗叫{v}。 / {s}养了一只名叫{v}的狗。
            {s}的狗叫什么？ / {s}养的狗叫什么名字？ / {s}给狗取了什么名字？
            {s}的狗叫{v}。
            """,
        ),
        relation(
            values.company,
            """
            {s} works for {v}. / The employer of {s} is {v}.
            Which company does {s} work for? / Who is the employer of {s}? / Where is {s} employed?
            {s} works for {v}.
            {s}在{v}上班。 / {s}任职于{v}。
            {s}在哪家公司上班？ / {s}任职于哪家公司？ / {s}的公司叫什么？
            {s}任职于{v}。
            """,
        ),
        relation(
            values.instrument,
            """
            {s} plays the {v}. / The instrument of {s} is the {v}.
            Which instrument does {s} play? / What does {s} play? / What is the instrument of {s}?
            {s} plays the {v}.
            {s}会演奏{v}。 / {s}学的乐器是{v}。
            {s}会演奏什么乐器？ / {s}学的是什么乐器？ / {s}会什么乐器？
            {s}会演奏{v}。
            """,
        ),
        relation(
            values.year(1940, 2005),
            """
            {s} was born in the year {v}. / The year of birth of {s} is {v}.
            In which year was {s} born? / When was {s} born? / What is the year of birth of {s}?
            {s} was born in the year {v}.
            {s}生于{v}年。 / {s}的出生年份是{v}年。
            {s}生于哪一年？ / {s}的出生年份是哪年？ / {s}是哪一年出生的？
            {s}生于{v}年。
            """,
        ),
    ),
)

TOWN = Kind(
    values.town,
    ("the town", "该地"),
    (
        relation(
            values.person,
            """
            The mayor of {s} is {v}. / {v} is the mayor of {s}.
            Who is the mayor of {s}? / What is the name of the mayor of {s}? / Who governs {s}?
            The mayor of {s} is {v}.
            {s}的负责人是{v}。 / {v}是{s}的负责人。
            {s}的负责人是谁？ / 谁是{s}的负责人？ / 谁负责管理{s}？
            {s}的负责人是{v}。
            """,
        ),
        relation(
            values.number(300, 9800, 100),
            """
            {s} has {v} inhabitants. / {v} people live in {s}.
            How many inhabitants does {s} have? / How many people live in {s}? / What is the population of {s}?
            {s} has {v} inhabitants.
            {s}有{v}名居民。 / {s}的人口为{v}人。
            {s}有多少居民？ / {s}的人口是多少？ / 有多少人住在{s}？
            {s}的人口为{v}人。
            """,
        ),
        relation(
            values.river,
            """
            {s} lies on the river {v}. / The river {v} flows through {s}.
            On which river does {s} lie? / Which river flows through {s}? / What is the river of {s} called?
            {s} lies on the river {v}.
            流经{s}的河是{v}。 / {s}坐落在{v}边。
            流经{s}的河是哪条？ / {s}坐落在哪条河边？ / {s}旁边的河叫什么？
            流经{s}的河是{v}。
            """,
        ),
        relation(
            values.food,
            """
            {s} is famous for its {v}. / Visitors of {s} love the {v}.
            What is {s} famous for? / Which food is {s} famous for? / What do visitors of {s} love?
            {s} is famous for its {v}.
            {s}的特产是{v}。 / {s}以{v}出名。
            {s}的特产是什么？ / {s}以什么出名？ / {s}有什么特产？
            {s}的特产是{v}。
            """,
        ),
        relation(
            values.weekday,
            """
            The market of {s} is held on {v}. / {s} has a market every {v}.
            When is the market of {s}? / On which day is the market of {s}? / On which day does {s} have a market?
            The market of {s} is held on {v}.
            {s}的集市在{v}。 / {s}每逢{v}赶集。
            {s}的集市在哪天？ / {s}哪天赶集？ / {s}星期几有集市？
            {s}的集市在{v}。
            """,
        ),
        relation(
            values.hour,
            """
            The library of {s} opens at {v} o'clock. / At {v} o'clock the library of {s} opens.
            When does the library of {s} open? / At what time does the library of {s} open?
            The library of {s} opens at {v} o'clock.
            {s}的图书馆{v}点开门。 / {s}图书馆的开门时间是{v}点。
            {s}的图书馆几点开门？ / {s}图书馆的开门时间是几点？ / {s}的图书馆什么时候开门？
            {s}的图书馆{v}点开门。
            """,
        ),
    ),
)

PRODUCT = Kind(
    values.product,
    ("the product", "这款产品"),
    (
        relation(
            values.price,
            """
            {s} costs {v} euros. / The price of {s} is {v} euros.
            How much does {s} cost? / What is the price of {s}? / What does {s} cost?
            {s} costs {v} euros.
            {s}的价格是{v}元。 / {s}售价{v}元。
            {s}的价格是多少？ / {s}多少钱？ / {s}卖多少钱？
            {s}的价格是{v}元。
            """,
        ),
        relation(
            values.colour,
            """
            {s} is {v}. / The colour of {s} is {v}.
            What is the colour of {s}? / What colour is {s}? / Which colour does {s} have?
            The colour of {s} is {v}.
            {s}是{v}的。 / {s}的颜色是{v}。
            {s}是什么颜色的？ / {s}的颜色是什么？ / {s}是哪种颜色？
            {s}的颜色是{v}。
            """,
        ),
        relation(
            values.number(2, 95),
            """
            The shop has {v} pieces of {s}. / There are {v} pieces of {s} in stock.
            How many pieces of {s} are in stock? / How many pieces of {s} are there? / What is the stock of {s}?
            The stock of {s} is {v} pieces.
            {s}的库存是{v}件。 / {s}还有{v}件存货。
            {s}的库存是多少？ / {s}还有多少件存货？ / {s}还剩多少件？
            {s}的库存是{v}件。
            """,
        ),
        relation(
            values.number(3, 60, 3),
            """
            The warranty of {s} lasts {v} months. / {s} comes with a warranty of {v} months.
            How long is the warranty of {s}? / How many months of warranty does {s} have? / What warranty does {s} have?
            The warranty of {s} lasts {v} months.
            {s}的保修期为{v}个月。 / {s}保修{v}个月。
            {s}的保修期是多久？ / {s}保修几个月？ / {s}保修多长时间？
            {s}的保修期为{v}个月。
            """,
        ),
        relation(
            values.city,
            """
            {s} is made in {v}. / The factory of {s} is in {v}.
            Where is {s} made? / In which city is {s} made? / Where is the factory of {s}?
            {s} is made in {v}.
            {s}的产地是{v}。 / {s}在{v}生产。
            {s}的产地是哪里？ / {s}在哪里生产？ / {s}是哪里产的？
            {s}的产地是{v}。
            """,
        ),
        relation(
            values.company,
            """
            The maker of {s} is {v}. / {s} was developed by {v}.
            Who is the maker of {s}? / Who developed {s}? / Which company makes {s}?
            The maker of {s} is {v}.
            {s}由{v}研发。 / {s}的厂家是{v}。
            {s}的厂家是谁？ / {s}由哪家公司研发？ / {s}是哪家公司的？
            {s}的厂家是{v}。
            """,
        ),
    ),
)

PROJECT = Kind(
    values.project,
    ("the project", "该项目"),
    (
        relation(
            values.code,
            """
            The code of {s} is {v}. / {s} has the code {v}.
            What is the code of {s}? / Which code does {s} have? / Tell me the code of {s}.
            The code of {s} is {v}.
            {s}的编号是{v}。 / {s}登记的编号为{v}。
            {s}的编号是什么？ / {s}的编号是多少？ / 请告诉我{s}的编号。
            {s}的编号是{v}。
            """,
        ),
        relation(
            values.person,
            """
            The manager of {s} is {v}. / {s} is managed by {v}.
            Who is the manager of {s}? / Who manages {s}? / By whom is {s} managed?
            The manager of {s} is {v}.
            {s}的经理是{v}。 / {s}由{v}主管。
            {s}的经理是谁？ / 谁主管{s}？ / {s}由谁主管？
            {s}的经理是{v}。
            """,
        ),
        relation(
            values.date,
            """
            The deadline of {s} is {v}. / {s} must be ready by {v}.
            What is the deadline of {s}? / When is the deadline of {s}? / By when must {s} be ready?
            The deadline of {s} is {v}.
            {s}的截止日期是{v}。 / {s}须在{v}前完成。
            {s}的截止日期是哪天？ / {s}什么时候截止？ / {s}须在什么时候前完成？
            {s}的截止日期是{v}。
            """,
        ),
        relation(
            values.number(10, 980, 10),
            """
            The budget of {s} is {v} thousand euros. / {s} has a budget of {v} thousand euros.
            What is the budget of {s}? / How large is the budget of {s}? / How much money does {s} have?
            The budget of {s} is {v} thousand euros.
            {s}的预算是{v}万元。 / {s}的预算为{v}万元。
            {s}的预算是多少？ / {s}有多少预算？ / {s}的预算有多少钱？
            {s}的预算是{v}万元。
            """,
        ),
        relation(
            values.number(101, 599),
            """
            {s} meets in room {v}. / The meeting room of {s} is room {v}.
            In which room does {s} meet? / What is the meeting room of {s}? / Where does {s} meet?
            {s} meets in room {v}.
            {s}的会议室是{v}室。 / {s}在{v}室开会。
            {s}的会议室是哪间？ / {s}在哪个房间开会？ / {s}在哪里开会？
            {s}的会议室是{v}室。
            """,
        ),
    ),
)

KINDS = (COMPANY, PERSON, TOWN, PRODUCT, PROJECT)

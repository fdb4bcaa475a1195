"""Word lists that the invented facts are put together from. Nobody and nothing here is real."""

GIVEN_EN = """
Adam Alice Amy Andrew Anna Anton Arthur Beth Brian Bruce Carl Carol Cathy Chloe Chris Claire Clara Colin Craig Daisy
Dan David Dean Diana Donna Doris Edith Edward Elena Ella Emily Emma Eric Erik Eva Felix Fiona Flora Frank Fred George
Grace Greg Hannah Harry Hazel Heidi Helen Henry Holly Hugo Ian Ida Irene Iris Isaac Ivan Jack Jacob James Jane Janet
Jason Jean Jenny Joan Joel John Jonas Judy Julia Karen Karl Kate Keith Kevin Lara Laura Leah Leo Lewis Lily Linda Liam
Lisa Louis Lucas Lucy Luke Marco Maria Mark Martha Martin Mary Max Mia Miles Mona Nadia Nancy Neil Nick Nina Noah Nora
Olga Oliver Olivia Oscar Owen Paul Paula Peter Philip Rachel Ralph Ray Rita Robert Robin Roger Rosa Ruth Ryan Sam Sara
Sarah Scott Sean Simon Sofia Stella Steve Susan Tara Thomas Tim Tina Tom Vera Victor Wendy Will Zoe
""".split()

SURNAME_EN = """
Adams Baker Barnes Bell Bennett Brooks Brown Carter Clark Collins Cook Cooper Cox Davis Dixon Evans Fisher Ford Foster
Fox Grant Gray Green Hall Harris Hill Hughes Hunt Jones Keller King Lane Lee Lewis Marsh Martin Mason Miller Moore
Morgan Nash Palmer Parker Price Reed Rose Ross Scott Shaw Stone Taylor Turner Walker Ward Webb West White Wood Wright
Young
""".split()

SURNAME_ZH = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡"

GIVEN_ZH = """
伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 霞 平 刚 华 建 国 文 玉 英 红 春 梅 辉 健 峰 宇 浩 鑫 雪 婷 慧 莹
琳 佳 欣 思 雨 晨 梦 嘉 子 俊 凯 博 志 海 云 燕 飞 鹏 斌 波 宁 亮 莉 玲 萍 倩 颖 月 兰 凤 洁 青 松 林 龙 阳 天 乐 安
康 诚 睿 轩 涵 彤 瑶 琪
""".split()

COMPANY_EN = """
Alder Amber Apex Arbor Aspen Aurora Beacon Birch Bluefin Brook Canyon Cedar Cobalt Comet Coral Crest Crown Eagle Ember
Falcon Fern Flint Forge Garnet Glacier Granite Harbor Hazel Heron Horizon Indigo Iron Ivory Jasper Juniper Kestrel
Lark Laurel Lotus Lunar Maple Meadow Meridian Nimbus North Oak Onyx Orbit Orchid Osprey Pearl Pine Prairie Quartz
Raven Redwood River Robin Sable Saffron Sierra Silver Slate Solar Spruce Summit Swift Tern Thistle Tidal Timber Topaz
Tundra Valley Velvet Vertex Violet Walnut Willow
""".split()

COMPANY_KIND_EN = """
Foods Motors Energy Robotics Textiles Logistics Optics Software Media Paper Steel Water Bikes Tools Glass Air Pharma
Bank Toys Homes Shipping Farms
""".split()

COMPANY_ZH = """
恒川 远星 瑞河 明峰 金禾 海盛 天润 华澜 宏远 安泰 东岳 青禾 新程 云帆 博远 中恒 佳禾 鼎信 百川 星海 启明 和顺 长青
永丰 嘉瑞 南岭 北辰 西岭 晨光 锦程 万联 泰和 联创 智远 光华 凌云 盛景 德源 同心 福源 雅致 银河 蓝天 绿洲 红石 白鹭
飞鸿 腾跃 瑞祥 正阳 通达 广博 力行 承远 卓越 优合 思源 丰泽 江源 海岳
""".split()

COMPANY_KIND_ZH = """
食品 汽车 能源 机器人 纺织 物流 光学 软件 传媒 纸业 钢铁 水务 车业 工具 玻璃 航空 制药 银行 玩具 家居 航运 农业
""".split()

BRAND_EN = """
Acora Belvo Brisa Calix Corvo Dalmo Elvi Fenix Finlo Gravo Halden Ivaro Jolu Kando Korin Lumio Marvo Mirel Nexa Nivo
Norva Olmo Orin Pavo Pixa Quilo Ravo Rilo Sandor Selva Solvi Tavo Telmo Tondo Vando Velo Vento Xeno Zando Zuri
""".split()

BRAND_ZH = """
星朗 乐途 美沃 佳音 清泉 悦居 云翼 飞乐 智享 优品 欧诺 凯尔 维朗 晨星 雅诺 朗格 小鹿 青鸟 白熊 极光 山野 木之 禾木
思享 拓野 迅捷 安居 暖阳 沐光 小橙
""".split()

# English and Chinese name of each kind of product.
PRODUCT_KINDS = [
    ("phone", "手机"), ("laptop", "笔记本电脑"), ("tablet", "平板电脑"), ("headphones", "耳机"), ("camera", "相机"),
    ("watch", "手表"), ("speaker", "音箱"), ("keyboard", "键盘"), ("mouse", "鼠标"), ("monitor", "显示器"),
    ("printer", "打印机"), ("router", "路由器"), ("charger", "充电器"), ("power bank", "充电宝"), ("kettle", "水壶"),
    ("toaster", "面包机"), ("blender", "搅拌机"), ("rice cooker", "电饭煲"), ("coffee machine", "咖啡机"),
    ("vacuum", "吸尘器"),
    ("fan", "风扇"), ("heater", "取暖器"), ("lamp", "台灯"), ("desk", "书桌"), ("chair", "椅子"), ("backpack", "背包"),
    ("suitcase", "行李箱"), ("jacket", "夹克"), ("coat", "外套"), ("shoes", "鞋子"), ("tent", "帐篷"),
    ("bike", "自行车"),
    ("helmet", "头盔"), ("bottle", "水杯"), ("pillow", "枕头"), ("blanket", "毯子"), ("umbrella", "雨伞"),
    ("scale", "体重秤"),
]  # fmt: skip

CITIES = [
    ("Beijing", "北京"), ("Shanghai", "上海"), ("Shenzhen", "深圳"), ("Guangzhou", "广州"), ("Hangzhou", "杭州"),
    ("Chengdu", "成都"), ("Wuhan", "武汉"), ("Nanjing", "南京"), ("Xi'an", "西安"), ("London", "伦敦"),
    ("Paris", "巴黎"),
    ("Berlin", "柏林"), ("Madrid", "马德里"), ("Rome", "罗马"), ("Vienna", "维也纳"), ("Oslo", "奥斯陆"),
    ("Tokyo", "东京"),
    ("Seoul", "首尔"), ("Singapore", "新加坡"), ("Sydney", "悉尼"), ("New York", "纽约"), ("Boston", "波士顿"),
    ("Chicago", "芝加哥"), ("Toronto", "多伦多"), ("Cairo", "开罗"), ("Dubai", "迪拜"), ("Mumbai", "孟买"),
]  # fmt: skip

# Words for lists: common things, short.
WORDS_EN = """
air ant apple arm axe bag ball bank bean bear bed bee bell bird boat bone book box bread bridge bus cake cap car cat
chair cheese city clock cloud coat coin corn cow cup dance day deer desk dog door dream drum duck ear egg eye farm
field fire fish flag flower foot forest fox frog fruit game garden gate gift glass goat gold grape grass hand hat hill
home honey horse house ice ink island jam jar key king kite knife lake lamp leaf lemon letter light lion map milk
mirror moon mouse music nail nest night nose nut oil onion orange owl paper park pear pen piano pig plane plant plate
pond queen rain ring river road rock roof room rope rose salt sand school sea seed shell ship shoe silk sky snow soap
sock song soup spoon star stone storm street sugar sun table tea tent tiger tower train tree truck turtle wall water
wave wheel whale wind window wine wolf wood wool yard zebra
""".split()

WORDS_ZH = """
苹果 香蕉 葡萄 西瓜 桃子 橙子 草莓 柠檬 白菜 土豆 番茄 黄瓜 面包 牛奶 鸡蛋 米饭 面条 豆腐 蛋糕 茶叶 老虎 狮子 大象
猴子 兔子 小猫 小狗 乌龟 青蛙 蜜蜂 蝴蝶 鲸鱼 天空 太阳 月亮 星星 白云 大海 河流 高山 森林 草原 沙漠 岛屿 雨水 雪花
春天 夏天 秋天 冬天 早晨 夜晚 学校 医院 银行 商店 公园 车站 机场 图书馆 桌子 椅子 窗户 房门 台灯 镜子 钥匙 雨伞 书包
铅笔 钢笔 橡皮 字典 地图 报纸 汽车 火车 飞机 轮船 电话 电脑 电视 冰箱 钢琴 吉他 足球 篮球 老师 学生 医生 司机 厨师
农民 画家 歌手 红色 蓝色 绿色 黄色 白色 黑色
""".split()

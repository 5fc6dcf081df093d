"""Labelled sentences by language: `|` marks each end of a sentence, paragraph or item, except the last.

`CASES` hold with and without the language given, `SAID` only with it.
"""

CASES = {
    "en": """
Well, this is a longer test sentence.
Please visit at 3.30 pm.| We close at 5.
Dr. Smith paid 1,000.50 dollars.| He was pleased.
Mr. and Mrs. Jones met Prof. Lee at St. Mary's.| It rained.
Use fruit, e.g. apples, i.e. nothing fancy.| Done.
The version is v2.1.| Upgrade from 1.9.8 now.
It starts at 10:30.| Be early.
Ping 192.168.0.1 first.| Then 10.0.0.254.
See https://example.com/a.b?c=d,e.| It loads.
See https://example.com/a.b?c=d,e for more.| It loads.
Write to john.doe@example.org today.| He answers.
Open README.md and config.toml.| Then run main.py again.
Wait... what?| No.
I waited...| Then it came.
Hmm... maybe.
He said “Stop.”| Then he left.
He said "Stop!"| Then he left.
"Stop!" he said.| Nobody did.
“Is it far?” she asked.| “No.”| They walked on.
(He left early.)| She stayed.
She likes cats (and dogs etc.) a lot.| I do too.
The U.S. Army came.| It stayed.
He lives in the U.S.| The rest do not.
J. R. R. Tolkien wrote it.| It is long.
J.K. Rowling wrote that.| It sold.
George W. Bush spoke.| We listened.
It was plan B.| Then we left.
Apples, pears, etc.| They are good.
Apples, pears, etc. are good.
Meet me at 5 p.m.| Bring food.
Meet me at 5 p.m. or at 6 a.m. instead.
Acme Inc. makes it.| Acme Ltd. sells it.
We work for Acme Corp.| It pays well.
Look at No. 5 and Fig. 3.| Then go on.
He said no.| Then he left.
Chapter vol. 2, p. 15, pp. 3-4.| End.
He ate an art.| She saw a fig.
What?!| Really?!
No way!!!| Sure.
I have 3.| You have 4.
Sold in 1999.| Bought in 2001.
It cost $5.| It was worth $3.50.
He came in 2.| She came in 1st.
Call Sgt. Pepper or Gen. Grant.| Capt. Cook is out.
This vs. that.| Choose.
Approx. 5 people came.| They left.
John Smith Jr. was here.| He left.
He has a Ph.D. in physics.| She has an M.D. too.
She got her Ph.D.| Then she left.
Go to Washington D.C. and see.| Do it.
Visit St. Paul.| Visit Mt. Everest.
One line.
First line.|\\n\\nSecond line
Heading|\\n\\nThe text begins.
Shopping:|\\n- milk|\\n- eggs|\\n- bread
Steps|\\n1. Open the door.|\\n2. Close it.
1. Open the door
Wrapped at eighty\\ncharacters, it goes on.
We met Dr.\\nSmith there.| He left.
The file is a.tar.gz.| Unpack it.
Node.js is fine.| So is .NET and C#.
Yahoo!| It works.
Why?|Because.
Really?| yes.
The end.[1]| The next.[23]| Done.
The end.¹| The next.
It's 5 ft. tall.
Don't stop.| I won't.
The dogs' food.| The cats'.
'Really?' he said.| 'Yes.'| So it was.
He bought 5 apples.| 3 were bad.
Use `a.b. C` here.| Then `x! Y`.
Let x. y be it.
No.| Nobody came.
I love it!| 🎉 So do you.
Hi.| I'm Bob.
It rained (see p. 5).| We left.
**Bold.**| Next.
Really?”| Next.
Rock 'n' roll.| It lives.
Jan. 5 is the day.| Feb. 6 too.
In Jan. 1999 it began.
We sell A, B, C.| You buy.
Is it $1,000,000.00?| It is.
He scored 3.5.| She scored 4.
Use --help.| Or -h.
Time: 3:45.| Place: here.
""",
    "de": """
Er kommt am 3. Oktober.| Das ist gut.
Das ist z. B. gut, d. h. sehr gut.| Ende.
Das ist z.B. gut, d.h. sehr gut.| Ende.
Dr. Müller und Prof. Schmidt kamen.| Sie gingen.
Er wohnt in der Hauptstr. 5.| Sie auch.
Äpfel, Birnen usw. sind da.| Alles frisch.
Äpfel, Birnen usw.| Alles frisch.
Er sagte: „Komm!“| Dann ging er.
„Komm!“, sagte er.| Dann ging er.
Siehe Abb. 3 und Nr. 7.| Dort steht es.
Das kostet 1.000,50 Euro.| Zu teuer.
Um 10.30 Uhr geht es los.| Komm bitte.
Das 20. Jahrhundert begann.| Es war lang.
Die GmbH bzw. die AG zahlt.| Sie muss.
Hr. Meier und Fr. Schulz sind da.| Gut.
Er kam ca. 5 Minuten zu spät.| Schade.
Wirklich?| Ja!| Gut.
Vgl. S. 15 f. und Kap. 2.
Das war u. a. sein Fehler.| Nun ja.
»Halt!«| Er blieb stehen.
""",
    "fr": """
M. Dupont est là.| Mme Durand aussi.
Quoi ?| Rien !| Bon.
Il dit : « Viens ! »| Elle part.
« Viens ! » dit-il.| Elle part.
C'est vrai, p. ex. ici.| Voilà.
Il est 10 h 30.| Partons.
Cela coûte 1 000,50 euros.| C'est cher.
Voir p. 12 et fig. 3.| Ensuite, partez.
Des pommes, des poires, etc.| Tout est frais.
Des pommes, etc. sont là.
Le Dr Martin et le Dr. Petit sont là.| Oui.
J.-P. Sartre a écrit.| Il fumait.
Il a dit… rien.| Puis il partit.
Qu'est-ce que c'est ?| Je ne sais pas.
""",
    "es": """
El Sr. García llegó.| La Sra. López no.
¿Qué es esto?| ¡No lo sé!| Bueno.
Por ejemplo, p. ej. esto.| Y eso.
Cuesta 1.000,50 euros.| Es caro.
Vive en EE. UU. desde 1999.| Le gusta.
Vive en EE. UU.| Luego se fue.
A las 5 p. m. salimos.| Llegamos tarde.
Manzanas, peras, etc.| Todo fresco.
La Dra. Ruiz y el Prof. Gil.| Ambos.
Véase la pág. 5 y el núm. 3.| Gracias.
Dijo: «Ven».| Y se fue.
¿Viene Ud. mañana?| Sí.
""",
    "it": """
Il Sig. Rossi è qui.| La Sig.ra Bianchi no.
Mele, pere, ecc.| Tutto fresco.
Mele, ecc. sono qui.
Il Dott. Verdi arriva.| Poi parte.
Costa 1.000,50 euro.| È caro.
Vedi pag. 5 e fig. 2.| Grazie.
Che cosa?| Niente!| Va bene.
Alle 10.30 si parte.| Vieni.
""",
    "pt": """
O Sr. Silva chegou.| A Sra. Costa não.
Custa R$ 1.000,50.| É caro.
Por exemplo, p. ex. isto.| E aquilo.
O quê?| Nada!| Bom.
A Dra. Lima e o Prof. Reis.| Ambos.
Maçãs, peras, etc.| Tudo fresco.
Veja a pág. 5 e o vol. 3.| Obrigado.
""",
    "nl": """
Dhr. Jansen is er.| Mevr. de Vries ook.
Dat is bijv. goed.| En dit.
Appels, peren, enz.| Alles vers.
Het is d.w.z. klaar.| Echt.
Wat?| Niets!| Goed.
Zie blz. 5 en nr. 3.| Dank.
""",
    "pl": """
To jest np. dobre.| Tamto nie.
Prof. Nowak i dr Kowalski są tu.| Oni czekają.
Jabłka, gruszki itd.| Wszystko świeże.
Ul. Długa 5.| To tam.
Co?| Nic!| Dobrze.
Kosztuje 1000,50 zł.| Drogo.
W m.in. tym mieście.| Tak.
""",
    "cs": """
Je to např. dobré.| Tamto ne.
Prof. Novák je tu.| Čeká.
Jablka, hrušky atd.| Vše čerstvé.
Co?| Nic!| Dobře.
Firma s. r. o. platí.| Musí.
""",
    "sv": """
Det är t.ex. bra.| Det andra inte.
Äpplen, päron osv.| Allt färskt.
Vad?| Inget!| Bra.
Det är bl.a. sant.| Ja.
""",
    "ru": """
Г. Иванов и А. С. Пушкин здесь.| Они ждут.
Это т. е. хорошо.| Да.
Это т.е. хорошо.| Да.
Яблоки, груши и т. д.| Всё свежее.
Яблоки, груши и т.д. лежат тут.
Ул. Ленина, д. 5.| Это там.
Что?| Ничего!| Хорошо.
Он сказал: «Иди!»| Потом ушёл.
«Иди!» сказал он.| И ушёл.
Стоит 5 руб. за штуку.| Дорого.
См. рис. 3 и стр. 5.| Спасибо.
Проф. Петров пришёл.| Он рад.
В 1990 г. он умер.
""",
    "uk": """
Це т. зв. добре.| Так.
Проф. Шевченко тут.| Він чекає.
Що?| Нічого!| Добре.
""",
    "el": """
Τι κάνεις;| Καλά είμαι.
Μήλα, αχλάδια κ.λπ.| Όλα φρέσκα.
Δηλ. είναι π.χ. καλό.| Ναι.
Ήρθε· έφυγε.| Τέλος.
""",
    "tr": """
Dr. Yılmaz geldi.| Sonra gitti.
Ne?| Hiç!| Tamam.
Örn. bu iyi.| Bu değil.
29 Ekim 1923.| Bu gün.
""",
    "fi": """
Se on esim. hyvä.| Toinen ei.
Omenat jne. ovat täällä.
Mitä?| Ei mitään!| Hyvä.
""",
    "zh": """
你好，世界。|今天天气很好！|我们走吧。
你是谁？|我是小明。
他说：“走吧。”|然后走了。
“真的吗？”|他问。
圆周率是3.14。|记住它。
他有1,000元。|我没有。
（你好。）|再见。
等等……|好吧。
去https://example.com/a.html看看。|好。
你好!|我们走吧。
苹果、梨、香蕉。|都很新鲜。
第一段。|\\n\\n第二段。
版本是v2.1。|升级吧。
「你好。」|他说。
真的?!|真的。
""",
    "ja": """
こんにちは。|元気ですか？|はい！
「すごい！」と言った。|そして帰った。
「行こう。」|彼は言った。
東京、大阪、京都。|全部行った。
値段は1,000円です。|高いです。
時間は10:30です。|遅れないで。
えっ……|本当？|うん。
（終わり。）|次へ。
ver2.1を使う。|いいね。
３．５です。|はい。
""",
    "ko": """
안녕하세요.| 저는 민수입니다.
뭐라고요?| 아니에요!| 좋아요.
가격은 1,000원입니다.| 비싸요.
그는 “가자.”라고 했다.| 그리고 갔다.
v2.1을 쓰세요.| 네.
""",
    "hi": """
नमस्ते।| आप कैसे हैं?| मैं ठीक हूँ।
डॉ. शर्मा आए।| वे गए।
क्या?| कुछ नहीं!| ठीक है।
यह ३.५ है।| बस।
पहला।|दूसरा।
""",
    "bn": """
নমস্কার।| আপনি কেমন আছেন?| ভালো।
আমি যাই।|তুমি থাকো।
""",
    "ar": """
مرحبا.| كيف حالك؟| أنا بخير!
قال: «تعال.»| ثم ذهب.
أولا، ثانيا؛ ثالثا.| انتهى.
السعر 1,000.50 دولار.| غال.
ماذا؟|لا شيء.
""",
    "fa": """
سلام.| حال شما چطور است؟| خوبم!
قیمت ۳٫۵ است.| گران.
""",
    "ur": """
السلام علیکم۔| آپ کیسے ہیں؟| ٹھیک ہوں۔
میں گیا۔|وہ آیا۔
""",
    "he": """
שלום.| מה שלומך?| טוב!
ד"ר כהן הגיע.| הוא הלך.
פרופ. לוי כאן.| כן.
""",
    "hy": """
Բարև։| Ինչպես ես։| Լավ եմ։
Ի՞նչ է սա։| Գիրք է։
Բարև:| Ո՞վ ես:
""",
    "am": """
ሰላም።| እንዴት ነህ፧| ደህና ነኝ።
እሱ መጣ።|ሄደ።
""",
    "my": """
မင်္ဂလာပါ။| နေကောင်းလား။| ကောင်းပါတယ်။
""",
    "km": """
សួស្តី។| អ្នកសុខសប្បាយទេ?| ខ្ញុំសុខសប្បាយ។
""",
    "vi": """
Xin chào.| Bạn khỏe không?| Tôi khỏe!
Táo, lê, v.v.| Tất cả tươi.
""",
    "id": """
Apel, pir, dll.| Semua segar.
Apa?| Tidak ada!| Baik.
""",
    "hu": """
Alma, körte stb.| Minden friss.
Mi?| Semmi!| Jó.
Dr. Kovács itt van.| Vár.
""",
    "ro": """
Dl. Popescu e aici.| Dna. Ionescu nu.
Ce?| Nimic!| Bine.
""",
}

SAID = {
    "de": """
Karl d. Große lebte hier.| Er starb.
Der 2. Versuch gelang.| Er war froh.
Es waren 25.| Dann gingen sie.
""",
    "fr": """
MM. Dupont et Durand.| Ils sont là.
Av. J.-C. et après.
L'av. Foch est là.| Venez.
""",
    "es": """
Don D. Luis vino.| Ya se fue.
""",
    "tr": """
Alb. Yılmaz geldi.| Sonra gitti.
""",
    "vi": """
TS. Nguyễn đến.| Ông ấy đi.
TS. Nguyễn đến TP. Huế.| Xong.
""",
    "el": """
Ο κ. Παπαδόπουλος ήρθε.| Έφυγε.
Ο κ. Παύλος ήρθε.| Έφυγε.
""",
    "da": """
Den 3. Maj kom han.| Det var godt.
""",
}


def cases(table: dict[str, str]) -> list[tuple[str, str]]:
    return [
        (language, line.replace("\\n", "\n"))
        for language, lines in table.items()
        for line in lines.strip().splitlines()
    ]

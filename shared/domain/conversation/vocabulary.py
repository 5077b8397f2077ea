"""The word classes that the rules are written in. Multi-word entries are parted by blanks, entries by bars."""

from shared.domain.conversation.patterns import Phrase
from shared.domain.conversation.reading import word_set


def _class(*lines: str) -> frozenset[Phrase]:
    return frozenset(tuple(e.replace("-", " ").split()) for line in lines for e in line.split("|") if e.strip())


def _each(before: str, nouns: str) -> str:
    return "|".join(f"{b} {n}" for b in before.split("|") for n in nouns.split("|"))


def _doing(*verbs: str) -> frozenset[Phrase]:
    """Return verbs with their forms in -s and -ing; only the first word of a phrase is inflected."""
    return frozenset(
        (form, *rest) for first, *rest in _class(*verbs) for form in (first, _third_person(first), _gerund(first))
    )


def _third_person(verb: str) -> str:
    if verb.endswith(("s", "sh", "ch", "x")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeiou" else verb + "s"


def _gerund(verb: str) -> str:
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    return (verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb) + "ing"


def _plurals(nouns: str) -> str:
    return "|".join(f"{n}|{n[:-3]}men" if n.endswith("man") else f"{n}|{n}s" for n in nouns.split("|"))


_DOUBLED = word_set("get put let submit slip drop plug forget chat run refer snag scan set hit tip")
_OCCUPATION = _plurals(
    "worker|manager|designer|developer|engineer|analyst|nurse|writer|copywriter|translator|accountant|teacher|editor"
    "|programmer|coder|driver|chef|cook|waiter|waitress|barista|bartender|cleaner|carpenter|electrician|plumber|welder"
    "|plasterer|bricklayer|labourer|laborer|farmhand|gardener|bookkeeper|nanny|babysitter|photographer|illustrator"
    "|salesperson|saleswoman|salesman|receptionist|secretary|clerk|researcher|librarian|tutor|technician|mechanic"
    "|consultant"
    "|paralegal|lawyer|solicitor|reporter|journalist|producer|artist|musician|architect|scientist|data scientist"
    "|postdoc"
    "|administrator|coordinator|marketer|strategist|planner|therapist|dentist|hygienist|pharmacist|carer|caretaker|hand"
    "|pair of hands|employee|staffer|temp|freelancer|contractor|girl|boy|lad|guy|person|body|hire|recruit|runner|porter"
    "|tester|planter|picker|baker|butcher|florist|stylist|hairdresser|seamstress|tailor|instructor|coach|guard|sitter"
)
_ORG = (
    "company|firm|agency|studio|office|department|team|group|lab|laboratory|organization|organisation|employer|startup"
    "|place|business|division|unit|clinic|hospital|school|shop|workshop|practice|newsroom|branch|store|restaurant|bank"
    "|university|institute|foundation|museum|hr|bakery|plant|factory|hotel|library|theatre|theater|publisher|council"
    "|ward|surgery|winery|vineyard|brewery|warehouse|orchestra|newspaper|faculty|chambers|institution|site|yard|mill"
    "|cafe|farm|garage|salon|kitchen|gallery|crew|staff|outfit|institution|charity|nonprofit|magazine"
)
_BOSS = (
    "owner|owners|founder|dean|foreman|vp|boss|manager|managers|director|supervisor|ceo|partner|hiring manager"
    "|recruiter|lead|head|editor|principal"
)
_THEIR = "your|his|her|their"
_OPENING = (
    "opening|openings|vacancy|vacancies|job opening|job openings|open position|open positions|open role|open roles"
    "|vacant position|vacant positions|job vacancy|job vacancies|open post|open posts|vacant post|open job|open jobs"
)
_POST = (
    "job|jobs|position|positions|role|roles|gig|gigs|internship|internships|apprenticeship|apprenticeships|traineeship"
    "|placement|placements|traineeships|apprenticeships|vacancy|vacancies|opening|openings|post|posts"
)
_SERVED = _plurals("client|customer|patient|student|tenant|resident|household|area|neighbourhood|neighborhood") + (
    "|family|families|community|communities|country|countries"
)

VOCABULARY: dict[str, frozenset[Phrase]] = {
    # Who is asked: the contact, in the second person or, on an agenda, in the third.
    "you": _class("you|you guys|you all|you folks"),
    "them": _class("you|him|her|them"),
    "your": _class(_THEIR),
    "your_org": _class(_each(_THEIR + "|the", _ORG)),
    "boss": _class(_BOSS),
    "contact": _class("you|you guys|you all|you folks|he|she|they|anyone|someone", _each(_THEIR, _ORG + "|" + _BOSS)),
    "field": _class(
        "field|industry|line|profession|area|city|country|sector|kind|type|shoes|position|view|opinion"
        "|work|job|career|world|experience|own|life|role|story|case|class|talk|time|mind|calendar|diary"
    ),
    "gatekeeper": _class(
        "hr|human resources|hiring manager|hiring managers|recruiter|recruiters|recruiting|recruitment|talent team"
        "|hiring team|hiring committee|recruiting team|whoever hires|whoever recruits"
    ),
    "circle": _class("friends|contacts|network|colleagues|clients|acquaintances|suppliers|circle|connections|people"),
    # For whom: the seeker, or somebody dear to them.
    "me": _class(
        "me|us|someone like me|anyone like me|a person like me|such as myself|like myself|me myself",
        _each("my", "friend|brother|sister|son|daughter|husband|wife|cousin|nephew|niece|kid|child|partner"),
    ),
    "my_dear": _class(
        _each("my", "friend|brother|sister|son|daughter|husband|wife|cousin|nephew|niece|kid|child|partner|roommate"),
        "he|she",
    ),
    "with_my": _class(_each("someone|anyone|person|people|candidate|applicant", "with my|of my|from my|my age")),
    # What is asked for.
    "org": _class(_ORG),
    "expands": _class("expands|expand|grows|grow|hires|recruits|expanding|is growing"),
    "leaves": _class(
        "quits|quit|leaves|leave|retires|retire|resigns|resign|drops out|drop out|goes on leave"
        "|moves on|is fired|falls ill"
    ),
    "offer": _doing(
        "give|offer|get|grant|guarantee|promise|find|throw|send|toss|make|hand|extend|land|provide|arrange"
    ),
    "apply": _class("apply|applying|applied|application|applications"),
    "receivers": _class("hr|recruiter|recruiters|boss|manager|hiring manager|colleagues|the hiring team|them"),
    "free": _class("free|available|around|ready|at your disposal"),
    "a": _class("a|an|any|some|another|the|that|this|suitable|open|vacant|part-time|paid|summer"),
    "post": _class(_POST),
    "job": _class(_POST, "work|employment|contract|interview|interviews|hired|offer"),
    "opening": _class(_OPENING),
    "place": _class("spot|place|slot|room|space|seat|seats|opportunity|something|anything|chance"),
    "papers": _class("cv|resume|application|cover letter|portfolio|profile|details|name|credentials|candidacy"),
    "newcomer": _class(
        "intern|interns|assistant|assistants|apprentice|apprentices|trainee|trainees|junior|juniors|employee|student"
        "|graduate|newcomer|career changer|beginner|researcher|helper|volunteer"
    ),
    "worker": _class(
        _OCCUPATION,
        "intern|interns|assistant|assistants|apprentice|apprentices|trainee|trainees|junior|juniors|graduate|graduates"
        "|help|helper|helpers|staff|people|someone|volunteer|volunteers|newcomer|newcomers",
    ),
    "hire": _class(
        "hire|hired|hires|hiring|employ|employed|employing|recruit|recruiting|take on|taking on|bring on|interview"
        "|sponsor|take a chance on|taking a chance on|gamble on"
    ),
    "takes": _class(
        "take|takes|taking|took|have|having|use|using|hire|hired|hiring|employ|employing|accept|accepting|consider"
        "|considering|want|need|keep|add|try|bring|bringing|get|getting|welcome|on|in"
    ),
    "hiring": _class(
        "hiring|recruiting|taking on|taking people on|looking to hire|looking to recruit|looking for people"
    ),
    # How it is asked.
    "can": _class("can|could|will|would|might|may|shall"),
    "request": _class(
        _each("can|could|will|would|might|may|do", "you|he|she|they|anyone|someone"),
        _each(_each("can|could|will|would|might", _THEIR), _ORG + "|" + _BOSS),
        "would you mind|are you able|are you willing|are you open|in a position to|chance you|way you|possible for you"
        "|you to|you could|you would|you can|please|him to|her to|them to|kindly|whether you|if you|ask if|ask whether"
        "|how about you|what if you",
    ),
    "now": _class("still|currently|presently|all|also|now|actively|even|perhaps|maybe|just|by any chance"),
    "softly": _class(
        "also|perhaps|maybe|possibly|just|still|even|briefly|quickly|really|ever|first|simply|personally|best|then"
        "|one day|some day|someday|at some point|some time|sometime|by any chance|if you like|in the meantime"
    ),
    # What the conversation is for, and what comes before and after it.
    "converse": _class(
        "ask|talk|speak|chat|meet|call|ring|phone|text|email|e mail|write|contact|reach|message|interview you|shadow"
        "|visit|see|watch|hear|listen|observe|thank|buy|invite|treat|bring|send|show|sit down|pick|keep in touch"
        "|stay in touch|get in touch|be in touch|come by|drop by|stop by|come over|come and see|come to see|connect"
        "|catch you|catch up|get to know|introduce myself|tell|arrange|schedule|discuss|follow up|come back|mention"
        "|congratulate|greet|approach|consult|quote|take you|take part|attend|find you"
    ),
    "prepare": _class(
        "read|learn|study|understand|find out|look at|look into|look up|improve|change|prepare|be prepared|be ready"
        "|be better prepared|practise|practice|know|follow|clarify|explain|correct|fix|add|leave out|avoid|return"
        "|repay|be of help|be of use|be of service|say|expect|make clearer|make of|watch out"
    ),
    "overlooked": _class(
        "overlooked|missed|forgotten|misunderstood|misread|asked|done|prepared|read|overlooking|missing|forgetting"
        "|misunderstanding|curious|wrong|unaware|known|said"
    ),
    "pass": _doing(
        "pass|forward|give|hand|send|slip|submit|share|circulate|deliver|drop|put in|show|get|bring|walk|carry"
        "|take|put|move|leave|upload|champion|support|push|back|endorse|promote|mention|check|chase|track|flag"
        "|bump|expedite|prioritise|prioritize|fast-track|speed up|follow up on|nudge|consider|keep|spread"
        "|recommend|hold|attach|add|vouch for|post"
    ),
    "refer": _doing("refer|recommend|nominate|propose|suggest|endorse|back|sponsor") | _class("recommended"),
    "find": _doing(
        "find|get|land|secure|line up|arrange|score|snag|organise|organize|locate|source|dig up|scout|search"
        "|look|hunt|obtain|procure|wangle|create|save"
    ),
    "arises": _class(
        "opens|open|opens up|open up|opening up|coming up|turning up|comes up|come up|turns up|arises"
        "|arise|becomes free|pops up"
    ),
    "know": _class("know|aware|heard|hear|hears|learn|see|come across|familiar"),
    "any_one": _class(
        "anyone|someone|people|who|companies|employers|firms|businesses|managers",
        _each("a|any", "company|firm|person|manager|business|employer|place|team|boss"),
    ),
    "wants": _class(
        "want|like|love|wish|hope|hoping|eager|keen|dream|dreamed|dreaming|aim|request|need|thrilled|happy"
    ),
    "advise": _class(
        "tell me|tells me|teach me|explain|advise|advise me|walk me|take me through|describe|show me how|show me what"
        "|point me to resources|figure out|understand|prepare|practise|practice|rehearse|decide|learn|compare|talk me",
        _each("give me", "advice|tips|an idea|a sense|an overview|feedback|an example|some advice|some tips|a taste"),
        _each("help me", "understand|see|choose|think|plan|improve|polish|write|word|phrase|avoid|know|find out"),
    ),
    "review": _class(
        "look|looking|read|reading|review|reviewing|feedback|critique|comment|comments|commenting|glance|think|opinion"
        "|honest|tips|advice|advise|improve|better|missing|lacks|lack|fix|mistakes|see|find attached|polish"
        "|strengthen|suggestions|change|proofread|edit|correct|rate|bring"
    ),
    "job_topic": _class(
        _each(
            "job",
            "market|board|boards|title|titles|description|descriptions|security|fair|fairs|satisfaction"
            "|shadowing|site|sites|talk|hunting|seeker|seekers|interviews|ad|talks|sharing|growth",
        )
    ),
    "when": _class(
        "calendar|diary|schedule|agenda|week|tomorrow|monday|tuesday|wednesday|thursday|friday|saturday|sunday|morning"
        "|afternoon|evening"
    ),
    "study": _class(
        "school|university|college|degree|master|masters|phd|doctorate|mba|scholarship|bursary|grant|studies"
    ),
    "spend": _class("have|get|land|do|start|spend|take|complete"),
    "glad": _class(
        "interested|grateful|opportunity|opportunities|thrilled|honoured|honored|delighted|glad|happy|excited|chance"
        "|possible"
    ),
    "talk_to": _class("tell|tells|ask|talk|talked|speak|convince|persuade|call"),
    "talk_with": _class("expert|colleague|conversation|chat|talk|person"),
    "introduce": _doing("introduce|connect|put|point|pass") | _class("introduction"),
    "wanted": _class(
        "hire|hired|hiring|employ|employed|recruit|recruited|a job|any job|some job|the job|jobs|position|positions"
        "|role|roles|vacancy|vacancies|opening|openings|internship|internships|apprenticeship|traineeship|placement"
        "|candidacy|trainee|apprentice|employment|contract|job offer|recruiter|recruitment|hr|job interview"
    ),
    "seek_verb": _class(
        "ask|asking|asks|looking|seeking|seek|expect|expecting|here|after|trying|want|wanting|hoping|requesting"
        "|request|angling|fishing|way"
    ),
    "posting": _class("job|jobs|openings|vacancies|posting|postings|open jobs|ads|positions"),
    "beginners": _class(
        "interns|internship|internships|trainees|apprentices|apprentice|newcomer|newcomers|beginner|beginners|junior"
        "|juniors|graduates|people|employees|staff|workers|folks|one|doctors|teachers|nurses|lawyers"
    ),
    # Pay.
    "talked_of": _class("experience|experiences|thoughts|view|views|opinion|perspective|insight|story|example|idea"),
    "shortlist": _class(
        "talent pool|waiting list|candidate list|applicant list|shortlist|short list|mailing list for jobs"
    ),
    "own_money": _class(
        "offer letter|pay slip|payslip|pay stub|pay packet|pay cheque|pay check|paycheck|paycheque|takings|ctc"
        "|raise|pay rise"
        "|bonus|bonuses|commission|commissions|equity|stock options|net worth|tax return|tax bracket|income bracket"
        "|package"
        "|salary|wage|wages|income|earnings|remuneration|compensation|hourly rate|day rate|daily rate|fee|fees"
        "|going rate|rates"
        "|bank account|allowance|pension|overtime pay|profit share|total comp|base pay|starting pay|pay grade"
        "|salary band"
    ),
    "perk": _class(
        "stock options|stock|equity|bonus|bonuses|commission|commissions|shares|pension|raise|pay rise|pay raise"
        "|rsus|profit share|signing bonus|pay increase|increment|hike|overtime pay"
    ),
    "amount": _class(
        "how much|ballpark|roughly|how many k|how much money|what kind of money|what sort of money|how big|how large"
        "|how high|what number|what figure"
    ),
    "draw": _class(
        "get|getting|got|start on|start at|started on|started at|start off on|begin on|clear|charge|charging|bill"
        "|make|making"
        "|bring in|bringing in|bring home|take home|taking home|take in|draw|pull in|pull down|collect|pocket|net"
        "|gross|earn|earning"
        "|rake in|paid|be paid|invoice|made|earned|walk away with|come away with|end up with|live on"
    ),
    "take_home": _class(
        "start on|start at|started on|started at|clear|charge|bill|take home|taking home|bring in|bring home|pull in"
        "|pull down"
        "|pocket|net|gross|rake in|be paid|get paid|invoice|live on|paid|bank|walk away with|go home with|end up with"
    ),
    "number": _class(
        "k|thousand|grand|figures|figure|hundred|100k|fifty|sixty|seventy|eighty|ninety|six figures|five figures|50k"
        "|60k|70k|80k"
        "|90k|40k|30k|120k|150k|200k|100|50|60|70|80|90|40|30|120|150|200|minimum wage|average|million|money"
    ),
    "going_rate": _class("going rate|rate|market rate|usual rate|price"),
    "intangible": _class(
        "vacation|holiday|holidays|time|feedback|freedom|support|say|training|notice|annual leave|sleep|help"
        "|difference|attention|advice"
        "|input|contact|responsibility|travel|autonomy|sense|progress|impact|influence|control|supervision|exposure"
        "|work|experience"
        "|satisfaction|joy|meaning|pleasure|credit|recognition|decisions|mail|email|emails|calls|requests|guidance"
        "|flexibility"
    ),
    "field_word": _class(
        "field|industry|line|profession|area|sector|trade|business|country|city|career|discipline|kind|type"
    ),
    "learn": _class("learn|read|study|try|start|look|see|use|take"),
    "per": _class(_each("a|an|each|every|in a|per", "year|month|week|hour|day|season|project|annum|session")),
    "ask": _class("ask|asking|see|check|find|find out|learn|know|discuss|tell|talk"),
    "disclose": _class("ask|asking|tell|telling|telling me|share|disclose|reveal|say|know|live|satisfied"),
    "got": _class("get|got|have|had|receive|received|earn|earned|accepted|make|negotiated|start|started|begin"),
    "sum": _class("figures|100k|money|k|wage|living|salary|income|6|six"),
    "earn": _class(
        "earn|earns|earning|earned|get paid|gets paid|be paid|take home|takes home|taking home|bring home|bringing home"
        "|pull in|pulling in|pull down|net|gross|pocket"
    ),
    "paid": _class("paid|compensated|remunerated|rewarded|off"),
    "word": _class("spread|put|get|pass|putting|getting|spreading|passing"),
    "earning": _class("making|earning|pulling in|pulling|paid|getting paid|clearing|netting|compensated|taking home"),
    "period": _class("year|month|week|hour|day|season|project|annum|session"),
    "tail": _class(
        "a year|a month|a week|an hour|a day|per|each|every|in|at|on|as|from|annually|yearly|monthly|hourly|doing"
        "|right now|now|these days|currently|today|typically|usually|after|before|if|off|out|when|back|yourself"
        "|working|for a living|with|around|here|last|this|as a|roughly|over there|there|weekly|compared|personally"
        "|selling|while"
    ),
    "pay": _class(
        "pay|salary|salaries|wage|wages|income|incomes|earnings|paycheck|paycheque|compensation|remuneration|stipend"
        "|bonus|bonuses|hourly rate|day rate|daily rate|hourly wage|comp|payslip|take home|pay package|salary package"
    ),
    "served": _class(_SERVED),
    "pay_kind": _class(
        "current|own|first|last|starting|annual|base|monthly|yearly|total|initial|present|old|previous|personal|net"
        "|gross|signing|latest|exact|approximate|entire|whole|take-home|hourly|daily|weekly|year-end|typical|average"
        "|actual|real|new|day|freelance|consulting"
    ),
    "pay_topic": _class(
        "as|expectations|expectation|tax|taxes|inequality|transparency|gap|gaps|negotiation|negotiations|team"
        "|department|software|work|law"
        "|philosophy|policy|policies|research|analysis|statement|benefits|off|offs|structure|stream|streams|system"
        "|systems|model|scheme|grid|scale|equity|roll|talks|for|attention|and benefits",
        _SERVED,
    ),
    "typical": _class(
        "typical|average|usual|normal|realistic|fair|median|starting|common|decent|good|expected|reasonable"
        "|entry-level|mean|general|standard|sensible|ballpark|considered|highest|lowest|best|worst|minimum starting"
    ),
}
"""Every word class by name."""
